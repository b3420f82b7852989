# Writes OUT (a .cc) with version, compiler and git state; rewritten only when something changed, so
# that an unchanged tree does not relink.
execute_process(COMMAND git -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE sha OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE status ERROR_QUIET)
if(status STREQUAL "")
  set(dirty false)
else()
  set(dirty true)
endif()
set(text "#include \"harness/build_info.h\"

namespace harness::build {

const char* const kVersion = \"${VERSION}\";
const char* const kCompiler = \"${COMPILER}\";
const char* const kFlags = \"${FLAGS}\";
const char* const kType = \"${TYPE}\";
const char* const kGitSha = \"${sha}\";
const bool kGitDirty = ${dirty};

}  // namespace harness::build
")
if(EXISTS ${OUT})
  file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
  file(WRITE ${OUT} "${text}")
endif()

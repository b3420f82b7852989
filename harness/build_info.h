// Owns what the build knows about itself; the values are generated (build_info.cmake).
#pragma once

namespace harness::build {

extern const char* const kVersion;
extern const char* const kCompiler;
extern const char* const kFlags;
extern const char* const kType;
extern const char* const kGitSha;  // empty outside a git checkout
extern const bool kGitDirty;

}  // namespace harness::build

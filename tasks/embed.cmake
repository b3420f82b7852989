# Writes OUTPUT, a C++ file that holds as strings the task files INPUTS, relative to ROOT and
# separated by ','.
string(REPLACE "," ";" INPUTS "${INPUTS}")
set(code "// Made by tasks/embed.cmake from tasks/definitions/*.json.\n#include \"tasks/definitions.h\"\n\n")
string(APPEND code "namespace tasks {\nconst std::vector<Definition>& definitions() {\n  static const std::vector<Definition> all = {\n")
foreach(file IN LISTS INPUTS)
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${ROOT}/${file}" text)
  string(APPEND code "      {\"${name}\", R\"_task_(${text})_task_\"},\n")
endforeach()
string(APPEND code "  };\n  return all;\n}\n}  // namespace tasks\n")
file(WRITE "${OUTPUT}" "${code}")

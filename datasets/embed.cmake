# cmake -DOUTPUT=x.cc -DROOT=dir -DFILES=a:b:c -P embed.cmake: writes the named files of ROOT as
# byte arrays, reached through datasets::embedded_files().
string(REPLACE ":" ";" FILES "${FILES}")
set(arrays "")
set(table "")
set(index 0)
foreach(file IN LISTS FILES)
  file(READ "${ROOT}/${file}" hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  file(SIZE "${ROOT}/${file}" size)
  string(APPEND arrays "const unsigned char kFile${index}[] = {\n${hex}0};\n")
  string(APPEND table "    {\"${file}\", {reinterpret_cast<const char*>(kFile${index}), ${size}}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUTPUT}" "#include \"datasets/embedded.h\"\n\nnamespace datasets {\nnamespace {\n\n${arrays}
const EmbeddedFile kFiles[] = {\n${table}};\n\n}  // namespace\n
std::span<const EmbeddedFile> embedded_files() { return kFiles; }\n\n}  // namespace datasets\n")

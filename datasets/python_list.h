// Owns the reader of a Python list of string literals, as repr() writes it into a cell.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace datasets {

// ['a', "b's", 'c\n'] to its texts; returns what is wrong, with the byte, or nothing. Literals are
// in single or double quotes, commas between them, blanks around them. Escapes: \\ \' \" \n \r \t
// \xNN \uNNNN. Everything else that Python allows is refused: prefixes, literals side by side,
// triple quotes, a comma at the end, line breaks; and so is an escape that makes NUL or half a
// surrogate pair.
std::string read_python_strings(std::string_view text, std::vector<std::string>& out);

}  // namespace datasets

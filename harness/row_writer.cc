#include "harness/row_writer.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace harness {
namespace {

using engine::Part;

results::FlopsByPart flops(const engine::ComputeLedger& l, bool useful) {
  const auto of = [&](Part p) {
    return static_cast<int64_t>(useful ? l.useful_flops(p) : l.executed_flops(p));
  };
  return {of(Part::attention), of(Part::router), of(Part::experts), of(Part::head),
          of(Part::predictor)};
}

// From one clock point to another in microseconds; empty when either did not happen.
std::optional<int64_t> span_us(int64_t from_ns, int64_t to_ns) {
  if (from_ns == 0 || to_ns == 0) return std::nullopt;
  return (to_ns - from_ns) / 1000;
}

const char* status_word(const Observation& o, const tasks::Score& s) {
  switch (o.answer.status) {
    case tasks::Answer::Status::too_long:
      return "too_long";
    case tasks::Answer::Status::not_finite:
      return "not_finite";
    case tasks::Answer::Status::cancelled:
      return "infra";
    case tasks::Answer::Status::ok:
      break;
  }
  // What was not to be run (no generation) is ungraded, and done.
  const bool infra = s.state == tasks::Score::State::unscored && s.verdict == tasks::Verdict::infra;
  return infra ? "infra" : "ok";
}

std::optional<std::string> finish_word(engine::FinishReason f) {
  switch (f) {
    case engine::FinishReason::none:
      return std::nullopt;
    case engine::FinishReason::stop_token:
      return "stop_token";
    case engine::FinishReason::stopped:
      return "stop_string";
    case engine::FinishReason::length:
      return "length";
  }
  return std::nullopt;
}

void put_decision(const Observation& o, results::AttemptRow* a) {
  const auto& d = o.decision;
  a->budget = d.budget.key();
  a->k_requested = d.budget.k;
  a->complexity = d.complexity;
  if (d.k_uncapped) {
    a->k_uncapped = *d.k_uncapped;
    a->capped = d.capped ? 1 : 0;
  }
  if (d.ood_score) {
    a->ood_score = d.ood_score;
    a->ood_flagged = d.ood_flagged ? 1 : 0;
    if (d.k_without_fallback) a->k_without_fallback = *d.k_without_fallback;
  }
  if (!d.p_correct_by_k.empty()) a->p_k_json = nlohmann::json(d.p_correct_by_k).dump();
  if (d.own_cost.flops > 0) a->predict_us = o.predict_ns / 1000;
}

// Experts that ran. A dense model's layers all ran their one expert: no rows for that.
void put_trace(const AttemptContext& c, const Observation& o, results::AttemptBundle* b) {
  if (o.trace.empty()) return;
  auto& a = b->attempt;
  a.k_mean = o.trace.k_mean();
  a.k_min = o.trace.k_min();
  a.k_max = o.trace.k_max();
  a.batch_experts = o.batch_experts;
  a.batch_k_max = o.batch_k_max;
  if (o.trace.n_experts() <= 1) return;
  for (const auto& l : o.trace.layers()) {
    results::LayerRow row;
    row.layer = static_cast<int64_t>(b->layers.size());
    row.tokens = l.tokens;
    row.k_sum = l.k_sum;
    row.k_max = l.k_max;
    row.k_min = l.k_min;
    if (c.router_margins && l.margins > 0) {
      row.margin_mean = l.margin_sum / static_cast<double>(l.margins);
      row.margin_min = l.margin_min;
    }
    b->layers.push_back(row);
  }
  b->experts = results::ExpertCounts{static_cast<int64_t>(o.trace.layers().size()),
                                     o.trace.n_experts(), o.trace.tokens()};
}

}  // namespace

results::VerdictRow make_verdict(const tasks::Task& task, const tasks::Score& s) {
  results::VerdictRow v;
  v.scorer = task.scorer();
  if (s.state == tasks::Score::State::unscored) {
    v.outcome = s.verdict == tasks::Verdict::infra ? "infra" : "not_run";
  } else {
    v.outcome = std::string(tasks::verdict_name(s.verdict));
    v.correct = s.value >= 1.0 ? 1 : 0;
    v.score = s.value;
  }
  if (!s.extracted.empty()) v.answer = s.extracted;
  v.margin_nats = s.margin;
  v.gold_nll_nats = s.gold_nll;
  if (!s.detail.empty()) v.detail = s.detail;
  return v;
}

results::PrefixRow make_prefix_row(const PrefixRecord& p, int32_t policy) {
  results::PrefixRow row;
  row.policy = policy;
  row.budget = p.budget;
  row.prefix_sha256 = p.key;
  row.n_tokens = p.tokens;
  row.executed = flops(p.ledger, false);
  row.prefill_us = p.wall_ns / 1000;
  return row;
}

results::AttemptBundle make_bundle(const AttemptContext& c, const tasks::Query& q,
                                   const Observation& o, const tasks::Task& task,
                                   const tasks::Score& score, int64_t score_us) {
  results::AttemptBundle b;
  b.query.store_text = c.store_text;
  if (c.label_preserved) b.query.label_preserved = *c.label_preserved ? 1 : 0;
  if (q.is_chat) {
    b.query.prompt_text = o.rendered_prompt;
  } else {
    b.query.prefix_text = q.header;
    const size_t kept = q.demonstrations.size() - static_cast<size_t>(o.dropped_demonstrations);
    for (size_t i = 0; i < kept; ++i) b.query.prefix_text += q.demonstrations[i];
    b.query.prompt_text = q.item;
  }

  auto& a = b.attempt;
  a.ordinal = c.ordinal;
  a.seed = static_cast<int64_t>(c.seed);
  a.status = status_word(o, score);
  if (a.status != "ok") a.status_detail = o.detail.empty() ? score.detail : o.detail;
  a.finish_reason = finish_word(o.finish);
  a.prompt_tokens = o.prompt_tokens;
  a.dropped_tokens = o.dropped_tokens;
  a.dropped_demonstrations = o.dropped_demonstrations;
  const bool answered = o.answer.status == tasks::Answer::Status::ok;
  const bool generated = q.kind == tasks::Query::Kind::generate && q.max_new_tokens > 0;
  if (o.answer.status != tasks::Answer::Status::too_long) put_decision(o, &a);
  if (answered) {
    put_trace(c, o, &b);
    a.prefix_tokens = o.prefix_tokens;
    if (!o.prefix_key.empty()) a.prefix_sha256 = o.prefix_key;
    a.output_tokens = o.output_tokens;
    a.useful = flops(o.ledger, true);
    a.executed = flops(o.ledger, false);
    a.batch_size = o.timing.mean_batch_rows;
    a.weights_bytes = static_cast<int64_t>(o.weight_bytes);
    a.queue_us = span_us(o.scheduled_ns, o.timing.admitted_ns);
    a.prefill_us = o.timing.prefill_ns / 1000;
    if (generated) {
      a.decode_us = o.timing.decode_ns / 1000;
      if (o.output_tokens > 1) a.itl_max_us = o.timing.longest_gap_ns / 1000;
    }
    a.ttft_us = span_us(o.scheduled_ns, o.timing.first_ns);
    a.latency_us = span_us(o.scheduled_ns, o.timing.last_ns);
    a.service_us = span_us(o.timing.admitted_ns, o.timing.last_ns);
  }
  if (o.scheduled_ns != 0) a.scheduled_ns = o.scheduled_ns - c.session_start_ns;
  a.reference_logprob_nats = o.answer.reference_logprob;
  if (o.answer.reference_logprob) a.reference_tokens = o.answer.reference_tokens;
  if (generated && answered) b.output_text = o.answer.text;
  for (size_t i = 0; i < o.answer.options.size(); ++i)
    b.options.push_back(
        {o.answer.options[i].logprob, o.answer.options[i].n_tokens, q.options.at(i)});
  auto verdict = make_verdict(task, score);
  verdict.score_us = score_us;
  b.verdicts.push_back(std::move(verdict));
  return b;
}

}  // namespace harness

#include <fmt/format.h>

#include <chrono>

#include "engine/checkpoint.h"
#include "engine/model_file_error.h"
#include "engine/random_checkpoint.h"
#include "harness/bench.h"
#include "harness/bench_report.h"
#include "harness/commands.h"
#include "harness/environment.h"
#include "harness/exit_code.h"
#include "harness/interrupt.h"
#include "harness/places.h"
#include "harness/progress.h"
#include "harness/run_plan.h"
#include "harness/text_table.h"

namespace harness {
namespace {

engine::ModelConfig shape_of(const BenchOptions& o) {
  try {
    return engine::named_shape(o.shape);
  } catch (const engine::ModelFileError& e) {
    throw UsageError(fmt::format("--{}", e.what()));
  }
}

std::unique_ptr<engine::Checkpoint> checkpoint_of(const BenchOptions& o, const Environment& env) {
  if (o.shape.empty()) return engine::Checkpoint::open(resolve_model(o.model));
  auto checkpoint = engine::make_random_checkpoint(shape_of(o), o.dtype, 0);
  const auto want = engine::random_checkpoint_bytes(*checkpoint);
  const bool in_ram = !o.device.name.starts_with("cuda:");  // auto may come back to it
  if (in_ram && env.ram_bytes > 0 && want > static_cast<uint64_t>(env.ram_bytes))
    throw UsageError(fmt::format(
        "--shape {}: {}B of weights in {}, this machine has {}B memory; fewer layers: {}:4",
        o.shape, si(static_cast<double>(want)), kernels::dtype_name(o.dtype),
        si(static_cast<double>(env.ram_bytes)), o.shape.substr(0, o.shape.find(':'))));
  return checkpoint;
}

}  // namespace

int command_bench(const BenchOptions& o) {
  const InterruptGuard interrupt;
  auto env = read_environment();
  const auto checkpoint = checkpoint_of(o, env);
  engine::EngineOptions options;
  options.threads = o.threads;
  options.max_streams = o.settings.streams;
  options.max_batch_rows = o.batch_rows;
  const auto begin = std::chrono::steady_clock::now();
  const auto engine = load_engine(*checkpoint, o.device, options);
  BenchSubject subject;
  subject.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  subject.model = o.shape.empty() ? model_label(o.model) : "random " + checkpoint->config().name;
  subject.dtype = main_dtype(*checkpoint);
  subject.instruction_set = env.instruction_set;
  subject.cpu = env.cpu_model;
  subject.commit = env.git_sha + (env.git_dirty ? "+changes" : "");
  subject.weight_bytes = engine->weight_bytes();
  subject.threads = engine->options().threads;
  subject.device = engine->device();
  add_gpu(subject.device, &env);
  subject.driver = env.gpu_driver.value_or("");
  subject.cuda = env.cuda_version.value_or("");
  const BenchWork work(*engine, o.settings);
  Progress progress("bench", bench_steps(work, o.settings.rounds));
  const auto report = bench(*engine, work, o.settings.rounds, [&] {
    progress.step();
    return !interrupt.flag();
  });
  progress.finish();
  if (report.limit_flops.empty()) return interrupt.exit_code();
  fmt::print("{}", o.format == Format::json
                       ? bench_json(subject, report)
                       : render_bench(subject, report, o.format == Format::markdown));
  return interrupt.flag() ? interrupt.exit_code() : kOk;
}

}  // namespace harness

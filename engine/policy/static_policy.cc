#include "engine/policy/static_policy.h"

#include <nlohmann/json.hpp>

namespace engine {

std::string StaticPolicy::config_json() const {
  return nlohmann::json{{"kind", kind_}, {"budget", budget_.key()}}.dump();
}

Decision StaticPolicy::decide(const QueryFeatures&) const {
  Decision d;
  d.budget = budget_;
  return d;
}

}  // namespace engine

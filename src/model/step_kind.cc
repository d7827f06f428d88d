#include "model/step_kind.h"

namespace penstock {

void StepKinds::add(std::unique_ptr<StepKind> kind) {
  auto name = std::string(kind->name());
  kinds_[std::move(name)] = std::move(kind);
}

const StepKind* StepKinds::find(std::string_view name) const {
  const auto it = kinds_.find(name);
  return it == kinds_.end() ? nullptr : it->second.get();
}

std::vector<std::string> StepKinds::names() const {
  std::vector<std::string> out;
  for (const auto& [name, kind] : kinds_) out.push_back(name);
  return out;
}

std::string mode_of(const v1::ServiceDefinitionSpec& spec) {
  const auto* reflection = spec.GetReflection();
  const auto* field =
      reflection->GetOneofFieldDescriptor(spec, spec.GetDescriptor()->FindOneofByName("mode"));
  return field ? field->name() : "";
}

}  // namespace penstock

// Owns FunctionRef: a callable that is passed down and not kept. Unlike std::function it copies
// nothing, so that no step of the engine allocates for one.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace kernels {

template <class Signature>
class FunctionRef;

// What it was made from must outlive it: a parameter, never a member.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, FunctionRef> &&
           std::is_invocable_r_v<R, F&, Args...>) FunctionRef(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

}  // namespace kernels

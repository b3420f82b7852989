// Whether this build has AddressSanitizer or ThreadSanitizer in it: tests that only repeat the same
// code on more input do less of it there.
#pragma once

namespace test_support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace test_support

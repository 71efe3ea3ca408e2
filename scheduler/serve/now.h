// Time as its user wants it: since any fixed moment, never going back. Tests bring their own.
#pragma once
#include <chrono>
#include <functional>

namespace switchyard::scheduler {

using Now = std::function<std::chrono::nanoseconds()>;  // any thread

inline std::chrono::nanoseconds steady_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

}  // namespace switchyard::scheduler

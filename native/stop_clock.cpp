// In: calls after every step. Out: a question every few milliseconds.
#include "stop_clock.hpp"

namespace chainrule {

bool StopClock::stops() {
    if (poll_.stop == nullptr) return false;
    const auto now = std::chrono::steady_clock::now();
    if (asked_ && now - last_ < std::chrono::milliseconds(20)) return false;
    asked_ = true;
    last_ = now;
    return poll_.stop(poll_.context);
}

}  // namespace chainrule

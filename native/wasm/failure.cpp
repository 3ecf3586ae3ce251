// An exception ends the call: the page is given its words and throws them as an error of its own. The engine is not used
// again after that, since nothing was unwound.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <typeinfo>

extern "C" {

[[clang::import_module("page"), clang::import_name("refuse")]] void refuse(const char* words, std::size_t length);

void* __cxa_allocate_exception(std::size_t size) noexcept { return std::malloc(size); }

void __cxa_free_exception(void*) noexcept {}

/// All exceptions that the engine throws derive from std::exception, whose table comes first in each.
[[noreturn]] void __cxa_throw(void* thrown, std::type_info*, void (*)(void*)) {
    const char* const words = static_cast<std::exception*>(thrown)->what();
    refuse(words, std::strlen(words));
    std::abort();
}

}  // extern "C"

/* The implementation in a file of its own, for builds that want one. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"

/* The library itself, compiled once for the runner. */
#define SANDBOX_IMPLEMENTATION
#include "../../sandbox.h"

/* The readable source as a header, for debugging with true files and lines. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox_impl/sandbox_all.h"

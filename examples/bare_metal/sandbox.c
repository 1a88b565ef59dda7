/* sandbox.c - the one file that holds the implementation. */
#define SANDBOX_IMPLEMENTATION
#include "client.h"

#define SANDBOX_IMPLEMENTATION
#include "sandbox_arduino.h"

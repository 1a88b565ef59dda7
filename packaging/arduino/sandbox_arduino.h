/* What sketches include: the switches must be the same in all files. The network is
   the sketch's: config.net, with SBX_NET_TLS_INSIDE over a client that does TLS. */
#ifndef SANDBOX_ARDUINO_H
#define SANDBOX_ARDUINO_H
#define SBX_SMALL
#define SBX_NO_POSIX
#define SBX_NO_TLS
#define SBX_NO_SWAR
#include "sandbox.h"
#endif

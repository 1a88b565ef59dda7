/* client.h - sandbox.h as this firmware has it. Most of these switches change structs:
   every file includes this one, so that all agree. */
#ifndef CLIENT_H
#define CLIENT_H

#define SBX_SMALL           /* buffers of 1 KiB instead of 8 */
#define SBX_NO_POSIX        /* no sockets: net_lwip.c or net_uart.c */
#define SBX_NO_STDLIB       /* no malloc, no files, no environment */
#define SBX_NO_SWAR
#define SBX_NO_PROXY
#define SBX_NO_REDIRECT
#define SBX_NO_GZIP
#define SBX_NO_TRACE
#define SBX_NO_EXTRAS
#define SBX_NO_PROC
#define SBX_NO_RUN_CODE
#define SBX_NO_TEMPLATE
#include "sandbox.h"

#endif

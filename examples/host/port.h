/* Servers inside sandboxes: port.c finds them, port_e2b.c passes requests on. */
#ifndef SANDBOXD_PORT_H
#define SANDBOXD_PORT_H

#include "box.h"

int port_connect(box *b, int port);     /* -1: nothing of the sandbox listens there */

#endif

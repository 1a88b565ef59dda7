/* --fault: misfortunes on request, for testing clients. fault.c says which. */
#ifndef SANDBOXD_FAULT_H
#define SANDBOXD_FAULT_H

#include "http.h"

extern const char fault_help[];         /* of the SPECs, for --help */
void fault_add(const char *spec);       /* ends the program if it is none */

/* Once a request is routed; it may reply. */
void fault_before(req *r);
/* True: the request was carried out, its answer shall not be sent. */
bool fault_drops(const req *r);
/* A stream that may end before its time: so it does here; how many of the n bytes
   about to be sent may pass. */
bool fault_ends(req *r);
size_t fault_passes(req *r, const char *p, size_t n);

#endif

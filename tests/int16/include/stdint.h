/* With -mshort the compiler's own int32_t would be an int of 16 bits. */
#ifndef INT16_STDINT_H
#define INT16_STDINT_H
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef int int16_t;
typedef unsigned int uint16_t;
typedef long int32_t;
typedef unsigned long uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef unsigned long uintptr_t;
typedef long intptr_t;
typedef long long intmax_t;
typedef unsigned long long uintmax_t;
#define INT8_MAX 127
#define UINT8_MAX 255
#define INT16_MAX 32767
#define INT16_MIN (-32767 - 1)
#define UINT16_MAX 65535U
#define INT32_MAX 2147483647L
#define INT32_MIN (-2147483647L - 1)
#define UINT32_MAX 4294967295UL
#define INT64_MAX 9223372036854775807LL
#define INT64_MIN (-9223372036854775807LL - 1)
#define UINT64_MAX 18446744073709551615ULL
#define SIZE_MAX 65535U
#define INT64_C(c) c##LL
#define UINT64_C(c) c##ULL
#define INT32_C(c) c##L
#define UINT32_C(c) c##UL
#endif

/* tls_config.h - mbedTLS 3.6 with what one TLS 1.2 client needs: ECDHE on P-256,
   AES-128-GCM, SHA-256, certificates with ECDSA keys.

   TLS_PUBLIC_WEB adds what chains and servers of the public web want: RSA and P-384, and
   records of 16 KiB, because few of them agree to shorter ones (max_fragment_length). */
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_PROTO_TLS1_2
#define MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA_ENABLED
#define MBEDTLS_SSL_EXTENDED_MASTER_SECRET
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_MAX_FRAGMENT_LENGTH
#ifdef TLS_PUBLIC_WEB
#define MBEDTLS_SSL_IN_CONTENT_LEN 16384
#define MBEDTLS_KEY_EXCHANGE_ECDHE_RSA_ENABLED
#define MBEDTLS_RSA_C
#define MBEDTLS_PKCS1_V15
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
#define MBEDTLS_SHA384_C
#define MBEDTLS_SHA512_C
#define MBEDTLS_SHA512_SMALLER
#else
/* config.tls.max_fragment tells the peer to send records of 1 KiB; what is received may be
   larger by what a handshake puts together from several: its certificates. */
#define MBEDTLS_SSL_IN_CONTENT_LEN 2048
#endif
#define MBEDTLS_SSL_OUT_CONTENT_LEN 1024

#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_REMOVE_INFO
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C

#define MBEDTLS_ECDH_C
#define MBEDTLS_ECDSA_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_ECP_WINDOW_SIZE 2           /* less RAM, a little slower */
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 0
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_HAVE_ASM

#define MBEDTLS_AES_C
#ifndef TLS_PUBLIC_WEB                      /* with SHA-384 AES-256 is offered, too */
#define MBEDTLS_AES_ONLY_128_BIT_KEY_LENGTH
#endif
#define MBEDTLS_AES_ROM_TABLES              /* tables in flash, the short ones */
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT     /* GCM only encrypts */
#define MBEDTLS_GCM_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_MD_C
#define MBEDTLS_SHA256_C
#define MBEDTLS_SHA256_SMALLER

/* Seeded by net.entropy of sandbox.h. */
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_CTR_DRBG_USE_128_BIT_KEY

/* All memory from one static buffer: mbedtls_memory_buffer_alloc_init() in main.c. */
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS   /* not calloc() of the C library, ever */
#define MBEDTLS_PLATFORM_SNPRINTF_MACRO snprintf /* of texts for people: is not linked */
#define MBEDTLS_MEMORY_BUFFER_ALLOC_C

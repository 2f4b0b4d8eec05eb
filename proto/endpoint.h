/* endpoint.h - sockets with the settings that make them safe, and who the peer is.
 *
 * Identity of a peer: on TCP its CURVE public key as the authenticator saw it; on ipc, or with
 * an insecure broker, the 32-byte instance id of its Hello. */
#pragma once

#include "common/err.h"
#include "proto/keys.h"
#include <stdbool.h>

#define ENDPOINT_PORT 7410
#define STORE_END_MARK                                                                   \
	"ended" /* in a store's run/lock, behind the pid of a broker that was meant to end */
#define ENDPOINT_HANDSHAKE_MS 3000

/** endpoint_check() - tcp://HOST:PORT or ipc://PATH. Return: 0, or ERR_USAGE in @e. */
int endpoint_check(const char *url, struct err *e);
bool endpoint_is_tcp(const char *url);
/** endpoint_blob_url() - where the blobs of broker @url are, from its Welcome. heap; free(). */
char *endpoint_blob_url(const char *url, uint32_t blob_port, const char *blob_path);

/** endpoint_setup() - socket options that every socket of ours has: LINGER 0, bounded HWMs and
 * MAXMSGSIZE (@message_max), ZMTP heartbeats (2 s interval, 6 s timeout), handshake interval 3 s,
 * IPv6; ROUTERs MANDATORY on, HANDOVER off. */
void endpoint_setup(void *socket, size_t message_max);
/** endpoint_bound() - where @socket was bound last, with its real port, as a peer may write it (an IPv4
 * address in IPv6 clothes is undressed). Heap; NULL if it is not bound. */
char *endpoint_bound(void *socket);
/** endpoint_secure_client() - CURVE with @self towards the broker key @server, if both are given. */
int endpoint_secure_client(void *socket, const struct key_pair *self,
			   const uint8_t server[KEY_SIZE]);
/** endpoint_secure_server() - CURVE server with @self, ZAP domain "cashet" enforced. */
int endpoint_secure_server(void *socket, const struct key_pair *self);

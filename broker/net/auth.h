/* auth.h - who may connect: the ZAP 1.0 authenticator (rfc.zeromq.org/spec/27) of the broker.
 *
 * A thread answers libzmq's question about every CURVE handshake at inproc://zeromq.zap.01 of one
 * context. Let in is who has a key in the trust table (proto/keys.h), through mechanism CURVE and domain
 * "cashet"; all else is refused, counted, and logged at a limited rate. The Z85 of the key becomes
 * the User-Id of every message of that connection: the only identity that is believed.
 * The table is read again when its file changes, at most every 200 ms, or by auth_reload(). */
#pragma once

#include "proto/keys.h"

struct auth;

/** auth_start() - before any socket of @zmq_context that it shall guard is bound. */
int auth_start(struct auth **authp, void *zmq_context, struct err *e);
void auth_stop(struct auth *auth); /* NULL is fine; before the context is terminated */

/* Thread: any. */

/** auth_role() - what the owner of @key may do; ROLE_NONE if it is not trusted (any more). */
enum key_role auth_role(struct auth *auth, const uint8_t key[KEY_SIZE]);
/** auth_name() - what people call it, "" if not trusted. */
void auth_name(struct auth *auth, const uint8_t key[KEY_SIZE], char name[128]);
/** auth_generation() - grows whenever the table has changed: look again at who is connected. */
uint64_t auth_generation(struct auth *auth);
uint64_t auth_refused(struct auth *auth); /* handshakes refused so far */
/** auth_reload() - read the table now. Return: 0; ERR_* in @e, the rows that could be read count. */
int auth_reload(struct auth *auth, struct err *e);

/** auth_selftest() - dial @url (tcp://..., as bound: 0.0.0.0 and [::] become loopback) with a key made
 * for the occasion, which must be refused. @server: key of the broker itself. Thread: any, the
 * authenticator must be running. Return: 0; ERR_NOT_ALLOWED if it was let in; other ERR_*. */
int auth_selftest(const char *url, const uint8_t server[KEY_SIZE], struct err *e);

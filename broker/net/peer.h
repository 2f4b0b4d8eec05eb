/* peer.h - sessions: who is at the other end of a route of a control socket.
 *
 * A peer exists from an accepted Hello until it is silent, unreachable, too slow or no longer
 * trusted; a stranger has no memory here. Its identity is @key (see proto/endpoint.h), never its
 * route. Others name a peer by its handle, which goes stale with it, so nobody has to be told. */
#pragma once

#include "broker/map.h"
#include "common/pure/list.h"
#include "proto/keys.h"
#include "proto/wire.h"

struct broker;
struct worker;

enum peer_kind { PEER_CLIENT = 1, PEER_WORKER = 2 }; /* bits, for the dispatch table */

#define PEER_SILENT_NS (30 * NS_PER_S)
#define PEER_PING_NS (2 * NS_PER_S)
#define PEER_HELD_MAX                                                                    \
	(256u << 20) /* bytes that wait for the disk on behalf of one peer */
#define PEER_QUERIES_MAX 16

typedef uint64_t peer_handle; /* slot << 32 | generation; 0: nobody */

struct peer {
	struct list node; /* of all, the longest silent first */
	struct map_node by_route;
	peer_handle handle;
	unsigned socket;
	uint8_t route[64];
	size_t route_size;
	enum peer_kind kind;
	enum key_role role;
	bool secured;
	uint8_t key[KEY_SIZE];
	uint8_t instance[KEY_SIZE];
	char *name, *host, *version;
	uint64_t pid;
	uint64_t heard_ns;
	size_t held_bytes;
	unsigned queries; /* handed to the query thread, not answered yet */
	unsigned watch_count;
	struct list watches;   /* struct watch.by_peer */
	struct worker *worker; /* of a worker that said WorkerHello */
};

struct peer_slot {
	struct peer *peer; /* or NULL */
	uint32_t generation;
	uint32_t next_free;
};

struct peers {
	struct list all;
	struct map by_route;
	struct peer_slot *slots;
	uint32_t slot_count, slot_capacity, free_slot; /* 0: none; slot 0 is never used */
	uint64_t clients, workers;
	uint64_t next_sweep_ns;
	uint64_t auth_generation;
};

void peers_init(struct broker *b);
void peers_fini(struct broker *b);
struct peer *peer_find(struct broker *b, unsigned socket, const struct wire_frame *frame);
struct peer *peer_get(struct broker *b, peer_handle handle); /* NULL when it is gone */
/** peer_hello() - the first message of a route: answer Welcome, or Error and forget it. */
void peer_hello(struct broker *b, unsigned socket, const struct wire_frame *frame,
		const Cashet__Envelope *e);
void peer_heard(struct broker *b, struct peer *peer);
/** peer_drop() - end a session; its worker becomes a disconnected one. */
void peer_drop(struct broker *b, struct peer *peer, const char *why);
/** peers_sweep() - ping, drop the silent and the revoked; cheap when not due. */
void peers_sweep(struct broker *b);

/* Sending at once; 0, or 1 when that dropped the peer. */
int peer_send(struct broker *b, struct peer *peer, const Cashet__Envelope *e);
int peer_send_packed(struct broker *b, struct peer *peer, const struct buf *packed);
int peer_error(struct broker *b, struct peer *peer, uint64_t serial, const struct err *e);
/** peer_refuse() - an Error to a route that may have no session. */
void peer_refuse(struct broker *b, unsigned socket, const struct wire_frame *frame,
		 uint64_t serial, enum err_code code, const char *what, const char *next);

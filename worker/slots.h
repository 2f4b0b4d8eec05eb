/* slots.h - the slot processes as the loop sees them: asked for when needed, reused, replaced when
 * they die. A slot that died is only gone when the spawner says that its tree is dead. */
#pragma once

#include "worker/spawner/spawner.h"

#define SLOTS_MAX 1024

enum slot_state {
	SLOT_FREE,     /* of the table: no process */
	SLOT_STARTING, /* asked for */
	SLOT_IDLE,
	SLOT_BUSY,
	SLOT_DYING, /* its socket ended; its tree is being killed */
};

/* What uses a slot and is no attempt: a runner, a check of a source. Its ended() hears of the end of
 * its run, when its whole tree is dead; the slot is free then. */
struct slot_user {
	uint32_t run;
	struct slot *slot; /* NULL: it has none */
	void (*ended)(struct slot_user *user, void *owner,
		      const struct slot_report *report);
};

struct slot {
	enum slot_state state;
	uint32_t number;
	int sock;
	struct attempt *attempt; /* BUSY, DYING: this, or */
	struct slot_user *user;
	struct slot *next_idle;
};

struct slots {
	int spawner;
	int epoll; /* sockets are added with data.u64 = tag | number */
	uint64_t tag;
	struct slot *items[SLOTS_MAX];
	uint32_t count;
	uint32_t max; /* SLOTS_MAX at most: each takes a descriptor */
	uint32_t starting, busy;
	struct slot *idle;
	bool is_told; /* that there can be no more */
};

/** slots_init() - @max: processes at a time, at least 1; what is above SLOTS_MAX does not count. */
void slots_init(struct slots *s, int spawner, int epoll, uint64_t tag, uint32_t max);
/** slots_fini() - closes the sockets: slots end, and kill what they run. */
void slots_fini(struct slots *s);
/** slots_request() - start one more process. Return: false if there are as many as may be, or it failed. */
bool slots_request(struct slots *s);
/** slots_arrived() - on SPAWNER_SLOT; takes @sock. */
void slots_arrived(struct slots *s, const struct spawner_message *m, int sock);
/** slots_take() - an idle one, now BUSY with @attempt or @user, or NULL. */
struct slot *slots_take(struct slots *s, struct attempt *attempt, struct slot_user *user);
/** slots_put() - its run has ended. */
void slots_put(struct slots *s, struct slot *slot);
/** slots_broken() - its socket ended. */
void slots_broken(struct slots *s, struct slot *slot);
/** slots_gone() - on SPAWNER_SLOT_GONE. @userp: what used it and is no attempt, or NULL.
 * Return: the attempt that it ran, or NULL. */
struct attempt *slots_gone(struct slots *s, uint32_t number, struct slot_user **userp);

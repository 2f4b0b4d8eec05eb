/* keys.h - CURVE keys and whom they are trusted for, in files.
 *
 * ~/.config/cashet/ (or $XDG_CONFIG_HOME/cashet, or $CASHET_CONFIG), mode 0700:
 *   keys/NAME.key      0600: "cashet-secret-key 1\nname = NAME\npublic = Z85\nsecret = Z85\n"
 *   keys/NAME.pub      the public half
 *   trusted            one line per peer: PUBLIC-Z85 ROLE NAME; '#' comments; a revoked one is gone
 *   brokers            one line per broker that a client trusts: PUBLIC-Z85 HOST:PORT|*
 * A file that others can read is refused when it holds a secret. */
#pragma once

#include "common/err.h"
#include "common/pure/buf.h"

enum key_role {
	ROLE_NONE,
	ROLE_CLIENT,
	ROLE_WORKER,
	ROLE_ADMIN,
	ROLE_OBSERVER,
	ROLE_BROKER
};

struct key_pair {
	char name[128];
	uint8_t public[KEY_SIZE], secret[KEY_SIZE];
};

struct key_trust {
	uint8_t public[KEY_SIZE];
	enum key_role role;
	char name[128]; /* for people; of a broker: HOST:PORT or * */
};

const char *key_role_name(enum key_role role);
int key_role_parse(const char *text, enum key_role *role); /* 0 or 1 */
void key_z85(char out[41], const uint8_t key[KEY_SIZE]);
int key_parse_z85(uint8_t key[KEY_SIZE], const char *text); /* 0 or 1 */
/** key_dir() - the configuration folder, heap; created by those that write. */
char *key_dir(void);
/** key_new() - make and store a pair; refuses an existing name. */
int key_new(const char *name, struct key_pair *pair, struct err *e);
/** key_load() - from @file if not NULL, else $CASHET_KEY (either a file or the NAME of a
 * key in keys/), else the only key in keys/, else by @fallback_name. */
int key_load(const char *file, const char *fallback_name, struct key_pair *pair,
	     struct err *e);
/** key_list() - all pairs in keys/ (no secrets), names sorted; free(*rowsp). */
int key_list(struct key_trust **rowsp, size_t *countp, struct err *e);
/* The trust table; ROLE_BROKER rows live in `brokers`, the others in `trusted`. */
int key_trust_add(const struct key_trust *row, struct err *e);
int key_trust_remove(const uint8_t public[KEY_SIZE], bool *foundp, struct err *e);
/** key_trust_list() - both files; free(*rowsp). On ERR_USAGE (a line that cannot be read, named in
 * @e) the rows of all other lines are there nevertheless; on other errors nothing is. */
int key_trust_list(struct key_trust **rowsp, size_t *countp, struct err *e);
/** key_trust_path() - the file that holds the rows of @role, heap; NULL without memory. */
char *key_trust_path(enum key_role role);
/** key_find_broker() - key of the broker at "HOST:PORT" (exact row first, then *).
 * Return: 0; ERR_NOT_FOUND if none is trusted; other ERR_*. */
int key_find_broker(const char *host_port, uint8_t public[KEY_SIZE], struct err *e);

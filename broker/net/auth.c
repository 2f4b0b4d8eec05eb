/* auth.c - see auth.h. libzmq sends one request per handshake and holds that connection back until
 * the answer; everything here is memory but for the look at the file's stamp. The table is replaced
 * whole, under the lock, so a reader sees the old one or the new one. */
#include "broker/net/auth.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define ADDRESS "inproc://zeromq.zap.01"
#define DOMAIN "cashet"
#define LOOK_MS 200

/* To add a frame: RFC 27 would have to. */
enum request_frame {
	REQUEST_VERSION,
	REQUEST_ID,
	REQUEST_DOMAIN,
	REQUEST_ADDRESS,
	REQUEST_IDENTITY,
	REQUEST_MECHANISM,
	REQUEST_KEY,
	REQUEST_FRAMES
};

struct request {
	struct {
		uint8_t data[256];
		size_t size;
	} frames[REQUEST_FRAMES];
	bool is_whole;
};

struct auth {
	void *socket;
	pthread_t thread;
	int stop; /* eventfd */
	char *path;
	pthread_mutex_t lock;	/* of what follows */
	struct key_trust *rows; /* sorted by key */
	size_t count;
	struct stat stamp; /* of the file when it was read */
	atomic_uint_fast64_t generation, refused;
};

/* ---- the table ---- */

static int compare_keys(const void *a, const void *b)
{
	const struct key_trust *x = a, *y = b;
	return memcmp(x->public, y->public, KEY_SIZE);
}

static struct key_trust *find(struct auth *auth, const uint8_t key[KEY_SIZE])
{
	struct key_trust want;
	memcpy(want.public, key, KEY_SIZE);
	return auth->count ? bsearch(&want, auth->rows, auth->count, sizeof want,
				     compare_keys)
			   : NULL;
}

/* keep_peers() - without the rows about brokers, which are for dialling. */
static size_t keep_peers(struct key_trust *rows, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].role != ROLE_BROKER)
			rows[kept++] = rows[i];
	}
	return kept;
}

static bool tables_differ(const struct auth *auth, const struct key_trust *rows,
			  size_t count)
{
	if (count != auth->count)
		return true;
	for (size_t i = 0; i < count; i++) {
		const struct key_trust *a = &rows[i], *b = &auth->rows[i];
		if (memcmp(a->public, b->public, KEY_SIZE) != 0 || a->role != b->role ||
		    strcmp(a->name, b->name) != 0)
			return true;
	}
	return false;
}

/* stamp_of() - zeroed for a file that is not there. */
static struct stat stamp_of(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st : (struct stat){0};
}

static bool stamps_differ(const struct stat *a, const struct stat *b)
{
	return a->st_ino != b->st_ino || a->st_dev != b->st_dev ||
	       a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       a->st_mtim.tv_nsec != b->st_mtim.tv_nsec ||
	       a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
	       a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

int auth_reload(struct auth *auth, struct err *e)
{
	struct err local = {0};
	struct key_trust *rows = NULL;
	size_t count = 0;
	if (!e)
		e = &local;
	/* The stamp is taken before the file is read: what changes meanwhile is read again. */
	struct stat stamp = stamp_of(auth->path);
	int rc = key_trust_list(&rows, &count, e);
	if (rc && rc != ERR_USAGE) {
		log_error("trust table could not be read, the last one stays", "error=%s",
			  e->what);
		pthread_mutex_lock(&auth->lock);
		auth->stamp = stamp;
		pthread_mutex_unlock(&auth->lock);
		return rc;
	}
	if (rc)
		log_error("trust table has a bad line", "error=%s", e->what);
	count = keep_peers(rows, count);
	if (count)
		qsort(rows, count, sizeof *rows, compare_keys);
	pthread_mutex_lock(&auth->lock);
	bool is_new = tables_differ(auth, rows, count);
	struct key_trust *old = auth->rows;
	auth->rows = rows;
	auth->count = count;
	auth->stamp = stamp;
	if (is_new)
		auth->generation++;
	pthread_mutex_unlock(&auth->lock);
	free(old);
	if (is_new)
		log_info("trust table was read", "keys=%zu", count);
	return rc;
}

static void look_at_file(struct auth *auth)
{
	struct stat now = stamp_of(auth->path);
	pthread_mutex_lock(&auth->lock);
	bool is_changed = stamps_differ(&now, &auth->stamp);
	pthread_mutex_unlock(&auth->lock);
	if (is_changed)
		auth_reload(auth, NULL);
}

enum key_role auth_role(struct auth *auth, const uint8_t key[KEY_SIZE])
{
	pthread_mutex_lock(&auth->lock);
	const struct key_trust *row = find(auth, key);
	enum key_role role = row ? row->role : ROLE_NONE;
	pthread_mutex_unlock(&auth->lock);
	return role;
}

void auth_name(struct auth *auth, const uint8_t key[KEY_SIZE], char name[128])
{
	pthread_mutex_lock(&auth->lock);
	const struct key_trust *row = find(auth, key);
	strcpy(name, row ? row->name : "");
	pthread_mutex_unlock(&auth->lock);
}

uint64_t auth_generation(struct auth *auth)
{
	return auth->generation;
}

uint64_t auth_refused(struct auth *auth)
{
	return auth->refused;
}

/* ---- the conversation with libzmq ---- */

/* take_request() - Return: 0; 1 if there is none. Too many or too long frames make it not whole. */
static int take_request(void *socket, struct request *r)
{
	zmq_msg_t msg;
	unsigned count = 0;
	int more = 1;
	*r = (struct request){.is_whole = true};
	while (more) {
		zmq_msg_init(&msg);
		if (zmq_msg_recv(&msg, socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&msg);
			return 1;
		}
		more = zmq_msg_more(&msg);
		size_t size = zmq_msg_size(&msg);
		if (count < REQUEST_FRAMES && size <= sizeof r->frames[0].data) {
			memcpy(r->frames[count].data, zmq_msg_data(&msg), size);
			r->frames[count++].size = size;
		} else {
			r->is_whole = false;
		}
		zmq_msg_close(&msg);
	}
	r->is_whole = r->is_whole && count == REQUEST_FRAMES;
	return 0;
}

static bool frame_is(const struct request *r, enum request_frame which, const char *text)
{
	return r->frames[which].size == strlen(text) &&
	       memcmp(r->frames[which].data, text, strlen(text)) == 0;
}

/* decide() - NULL lets the peer in; else why not. */
static const char *decide(struct auth *auth, const struct request *r)
{
	if (!r->is_whole || !frame_is(r, REQUEST_VERSION, "1.0"))
		return "not a ZAP 1.0 request";
	if (!frame_is(r, REQUEST_DOMAIN, DOMAIN))
		return "wrong domain";
	if (!frame_is(r, REQUEST_MECHANISM, "CURVE") ||
	    r->frames[REQUEST_KEY].size != KEY_SIZE)
		return "not CURVE";
	return auth_role(auth, r->frames[REQUEST_KEY].data) == ROLE_NONE
		       ? "key not trusted"
		       : NULL;
}

static void send_text(void *socket, const void *data, size_t size, bool more)
{
	(void)zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0);
}

static void answer(struct auth *auth, const struct request *r)
{
	const char *refusal = decide(auth, r);
	char z85[41] = "";
	if (r->frames[REQUEST_KEY].size == KEY_SIZE)
		key_z85(z85, r->frames[REQUEST_KEY].data);
	const char *status = refusal ? "400" : "200", *text = refusal ? refusal : "OK";
	const char *user = refusal ? "" : z85;
	send_text(auth->socket, "1.0", 3, true);
	send_text(auth->socket, r->frames[REQUEST_ID].data, r->frames[REQUEST_ID].size,
		  true);
	send_text(auth->socket, status, 3, true);
	send_text(auth->socket, text, strlen(text), true);
	send_text(auth->socket, user, strlen(user), true);
	send_text(auth->socket, "", 0, false);
	if (!refusal)
		return;
	auth->refused++;
	log_warn("connection refused", "why=%s key=%s address=%.*s", refusal, z85,
		 (int)r->frames[REQUEST_ADDRESS].size,
		 (const char *)r->frames[REQUEST_ADDRESS].data);
}

static void *auth_main(void *arg)
{
	struct auth *auth = arg;
	uint64_t next_look = 0;
	pthread_setname_np(pthread_self(), "auth");
	for (;;) {
		zmq_pollitem_t items[] = {{.socket = auth->socket, .events = ZMQ_POLLIN},
					  {.fd = auth->stop, .events = ZMQ_POLLIN}};
		if (zmq_poll(items, 2, LOOK_MS) < 0 && errno == ETERM)
			break;
		if (items[1].revents)
			break;
		/* Who comes now is judged by the file as it is now: a key that was just revoked
		 * is not let in for another second. */
		uint64_t now = clock_mono_ns();
		if (now >= next_look || items[0].revents) {
			look_at_file(auth);
			next_look = now + LOOK_MS * NS_PER_MS;
		}
		struct request request;
		while (items[0].revents && take_request(auth->socket, &request) == 0)
			answer(auth, &request);
	}
	zmq_close(auth->socket);
	return NULL;
}

/* ---- life ---- */

static void auth_free(struct auth *auth)
{
	if (auth->stop >= 0)
		close(auth->stop);
	pthread_mutex_destroy(&auth->lock);
	free(auth->rows);
	free(auth->path);
	free(auth);
}

static int start_thread(struct auth *auth)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = pthread_create(&auth->thread, NULL, auth_main, auth);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -rc;
}

int auth_start(struct auth **authp, void *zmq_context, struct err *e)
{
	struct auth *auth = mem_alloc(sizeof *auth);
	pthread_mutex_init(&auth->lock, NULL);
	auth->stop = eventfd(0, EFD_CLOEXEC);
	auth->path = key_trust_path(ROLE_CLIENT);
	auth->generation = 1;
	if (auth->stop < 0 || !auth->path) {
		auth_free(auth);
		return err_set(e, ERR_FAILED, "cannot start the authenticator: %s",
			       strerror(errno));
	}
	/* A table with a bad line trusts fewer, which is safe; one that cannot be read is not. */
	int rc = auth_reload(auth, e);
	if (rc && rc != ERR_USAGE) {
		auth_free(auth);
		return rc;
	}
	auth->socket = zmq_socket(zmq_context, ZMQ_REP);
	int linger = 0;
	rc = auth->socket ? 0 : -errno;
	if (rc == 0) {
		zmq_setsockopt(auth->socket, ZMQ_LINGER, &linger, sizeof linger);
		rc = zmq_bind(auth->socket, ADDRESS) < 0 ? -errno : start_thread(auth);
	}
	if (rc) {
		if (auth->socket)
			zmq_close(auth->socket);
		auth_free(auth);
		return err_set(e, ERR_FAILED, "cannot start the authenticator: %s",
			       zmq_strerror(-rc));
	}
	if (e)
		e->code = ERR_NONE;
	*authp = auth;
	return 0;
}

void auth_stop(struct auth *auth)
{
	if (!auth)
		return;
	uint64_t one = 1;
	(void)!write(auth->stop, &one, sizeof one);
	pthread_join(auth->thread, NULL);
	auth_free(auth);
}

/* listen.c - the control sockets: bound, secured, and closed to newcomers when a private broker
 * ends; and the blob service and authenticator that belong to them.
 *
 * Sockets are not counted here: accept.c refuses connections before descriptors run out. */
#include "broker/broker.h"

#include "broker/care/guard.h"
#include "broker/net/accept.h"
#include "broker/net/auth.h"
#include "broker/net/strangers.h"
#include "broker/restore.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "version.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#define LINGER_MS 300
/* Databases, sockets and threads keep 40 or so open; a private broker's worker needs as many. */
#define DESCRIPTORS_MIN 64

int listen_raise_limits(struct broker *b, struct err *e)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
	if (!b->options->quiet && limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	b->fd_limit = limit.rlim_cur == RLIM_INFINITY ? 1u << 20 : limit.rlim_cur;
	if (b->fd_limit < DESCRIPTORS_MIN) {
		err_set(e, ERR_FAILED,
			"only %u files may be open at a time, too few for a broker",
			(unsigned)b->fd_limit);
		err_next(e,
			 "allow %u or more: ulimit -n 1024 (LimitNOFILE= in a unit of "
			 "systemd)",
			 DESCRIPTORS_MIN);
		return ERR_FAILED;
	}
	accept_limit(b->fd_limit, 0);
	return 0;
}

/* ---- keys ---- */

static int refuse_open_tcp(struct err *e)
{
	err_set(e, ERR_NOT_ALLOWED,
		"TCP without keys is refused: whoever reaches the port could run "
		"programs");
	err_next(e,
		 "cashet key new broker; then for each peer: cashet key trust PUBLIC-KEY "
		 "--role client|worker. On a network that you trust: --insecure");
	return ERR_NOT_ALLOWED;
}

static int load_keys(struct broker *b, struct err *e)
{
	for (unsigned i = 0; i < b->options->listen_count; i++)
		b->has_tcp |= endpoint_is_tcp(b->options->listen[i]);
	if (!b->has_tcp)
		return 0;
	if (b->options->insecure) {
		b->insecure = true;
		log_warn(
			"insecure", "why=%s",
			"TCP without keys: anybody who reaches the port may do anything");
		return 0;
	}
	struct err why = {0};
	int rc = key_load(b->options->key, "broker", &b->keys, &why);
	if (rc && !b->options->key && rc == ERR_NOT_FOUND)
		return refuse_open_tcp(e);
	if (rc) {
		*e = why;
		return rc;
	}
	return auth_start(&b->auth, b->zmq, e);
}

/* ---- blobs ---- */

static pthread_key_t reader_key;
static pthread_once_t reader_once = PTHREAD_ONCE_INIT;

static void close_reader(void *reader)
{
	ledger_reader_close(reader);
}

static void make_reader_key(void)
{
	pthread_key_create(&reader_key, close_reader);
}

/* On the service's threads: each has a reader of its own, closed when it ends. */
static int find_inline(void *arg, const uint8_t digest[DIGEST_SIZE], struct buf *out)
{
	struct broker *b = arg;
	struct ledger_reader *reader = pthread_getspecific(reader_key);
	if (!reader) {
		struct err e = {0};
		if (ledger_reader_open(&reader, b->ledger, b->store, &e))
			return 1;
		pthread_setspecific(reader_key, reader);
	}
	return ledger_find_blob(reader, digest, out);
}

static enum key_role role_of(void *arg, const uint8_t key[KEY_SIZE])
{
	struct broker *b = arg;
	return auth_role(b->auth, key);
}

static void store_broken(void *arg, int error)
{
	struct broker *b = arg;
	__atomic_store_n(&b->store_error, error ? error : EIO, __ATOMIC_RELEASE);
	broker_wake(b);
}

static int port_of(const char *url)
{
	const char *colon = strrchr(url, ':');
	return colon ? atoi(colon + 1) : 0;
}

/* Where the blobs of control socket @i are: as told, or the next port, or the path + ".blobs". */
static char *blob_url(struct broker *b, unsigned i)
{
	const struct control *c = &b->controls[i];
	char *url = NULL;
	int rc;
	if (i > 0 && i - 1 < b->options->blob_listen_count) {
		rc = asprintf(&url, "%s", b->options->blob_listen[i - 1]);
	} else if (c->is_tcp) {
		const char *colon = strrchr(c->url, ':');
		rc = asprintf(&url, "%.*s:%d", (int)(colon - c->url), c->url,
			      port_of(c->url) + 1);
	} else {
		rc = asprintf(&url, "%s.blobs", c->url);
	}
	if (rc < 0)
		abort();
	return url;
}

static int start_blobs(struct broker *b, struct err *e)
{
	struct blobs_endpoint endpoints[SOCKET_MAX];
	char *urls[SOCKET_MAX];
	for (unsigned i = 0; i < b->control_count; i++) {
		urls[i] = blob_url(b, i);
		endpoints[i] = (struct blobs_endpoint){
			.url = urls[i],
			.curve = b->controls[i].secured ? &b->keys : NULL};
	}
	struct blobs_options options = {.zmq_context = b->zmq,
					.cas = b->cas,
					.endpoints = endpoints,
					.endpoint_count = b->control_count,
					.find_inline = find_inline,
					.claim = guard_claim,
					.role = role_of,
					.broken = store_broken,
					.arg = b};
	cashet__welcome__init(&options.welcome);
	options.welcome.protocol = WIRE_PROTOCOL;
	options.welcome.version = (char *)CASHET_VERSION;
	options.welcome.store.data = b->info.store_id;
	options.welcome.store.len = sizeof b->info.store_id;
	options.welcome.boot = b->info.boot;
	options.welcome.inline_max = INLINE_MAX;
	options.welcome.message_max = WIRE_BLOB_MESSAGE_MAX;
	options.welcome.insecure = b->insecure;
	options.welcome.pid = (uint64_t)getpid();
	options.welcome.is_private = b->options->is_private;
	pthread_once(&reader_once, make_reader_key);
	int rc = blobs_start(&b->blobs, &options, e);
	for (unsigned i = 0; i < b->control_count; i++) {
		struct control *c = &b->controls[i];
		const char *bound = rc ? "" : blobs_url(b->blobs, i);
		accept_prefer(bound);
		if (!rc && endpoint_is_tcp(bound))
			c->blob_port = (uint32_t)port_of(bound);
		else if (!rc)
			c->blob_path = mem_strdup(bound + strlen("ipc://"));
		free(urls[i]);
	}
	return rc;
}

/* ---- control sockets ---- */

/* Binding takes an ipc path over without a word, also from a program that still listens there. */
static bool ipc_in_use(const char *url)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = url + strlen("ipc://");
	if (endpoint_is_tcp(url) || strlen(path) >= sizeof address.sun_path)
		return false;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	int rc = connect(fd, (struct sockaddr *)&address, sizeof address);
	bool used = rc == 0 || errno == EAGAIN;
	close(fd);
	return used;
}

static int bind_control(struct broker *b, const char *url, struct err *e)
{
	struct control *c = &b->controls[b->control_count];
	int rc = endpoint_check(url, e);
	if (rc)
		return rc;
	if (ipc_in_use(url)) {
		err_set(e, ERR_FAILED, "cannot listen on %s: another program does", url);
		err_next(e, "choose another path, or end that program");
		return ERR_FAILED;
	}
	c->router = zmq_socket(b->zmq, ZMQ_ROUTER);
	if (!c->router)
		return err_set(e, ERR_FAILED, "no socket: %s", zmq_strerror(errno));
	b->control_count++;
	c->is_tcp = endpoint_is_tcp(url);
	endpoint_setup(c->router, WIRE_MESSAGE_MAX);
	c->secured = c->is_tcp && !b->insecure;
	if (c->secured && endpoint_secure_server(c->router, &b->keys))
		return err_set(e, ERR_FAILED, "CURVE is not available: %s",
			       zmq_strerror(errno));
	if (c->is_tcp)
		strangers_watch(b, c);
	if (zmq_bind(c->router, url) < 0) {
		err_set(e, ERR_FAILED, "cannot listen on %s: %s", url,
			zmq_strerror(errno));
		if (errno == EADDRINUSE)
			err_next(e, "another program has it; choose another port");
		else if (errno == ENODEV || errno == EADDRNOTAVAIL || errno == EINVAL)
			err_next(e, "it is no address of this machine; 0.0.0.0 is all of "
				    "them");
		return ERR_FAILED;
	}
	char bound[512];
	size_t size = sizeof bound;
	zmq_getsockopt(c->router, ZMQ_LAST_ENDPOINT, bound, &size);
	c->url = mem_strdup(bound);
	size = sizeof c->fd;
	zmq_getsockopt(c->router, ZMQ_FD, &c->fd, &size);
	c->bound = c->hot = true;
	return 0;
}

static int selftest(struct broker *b, struct err *e)
{
	for (unsigned i = 0; i < b->control_count; i++) {
		if (!b->controls[i].secured)
			continue;
		int rc = auth_selftest(b->controls[i].url, b->keys.public, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* Half of the connections may be clients', so that workers find a place. Once all is open. */
static void share_descriptors(struct broker *b)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t used = 0;
	while (dir && readdir(dir))
		used++;
	if (dir)
		closedir(dir);
	uint64_t connections = accept_limit(b->fd_limit, used);
	b->client_max = connections / 2 > 1 ? connections / 2 : 1;
}

int listen_open(struct broker *b, struct err *e)
{
	b->zmq = zmq_ctx_new();
	if (!b->zmq)
		return err_set(e, ERR_FAILED, "no ZeroMQ context: %s",
			       zmq_strerror(errno));
	zmq_ctx_set(b->zmq, ZMQ_MAX_SOCKETS, zmq_ctx_get(b->zmq, ZMQ_SOCKET_LIMIT));
	int rc = load_keys(b, e);
	char *path = rc ? NULL : store_socket(b, e), *own = NULL;
	if (!rc && !path)
		rc = ERR_FAILED;
	if (!rc && asprintf(&own, "ipc://%s", path) < 0)
		abort();
	if (!rc)
		rc = bind_control(b, own, e);
	for (unsigned i = 0; !rc && i < b->options->listen_count; i++)
		rc = bind_control(b, b->options->listen[i], e);
	free(path);
	free(own);
	if (!rc)
		rc = selftest(b, e);
	if (!rc)
		rc = start_blobs(b, e);
	for (unsigned i = 0; !rc && i < b->control_count; i++)
		log_info("listening", "url=%s%s", b->controls[i].url,
			 b->controls[i].secured ? " keys=curve" : "");
	if (!rc)
		share_descriptors(b);
	char z85[41];
	if (!rc && b->auth) {
		b->auth_refused_seen = auth_refused(b->auth); /* our own test was */
		key_z85(z85, b->keys.public);
		log_info("public key", "key=%s", z85);
	}
	return rc;
}

void listen_close(struct broker *b)
{
	listen_admit(b, false);
	blobs_stop(b->blobs);
	b->blobs = NULL;
	for (unsigned i = 0; i < b->control_count; i++) {
		int linger = LINGER_MS; /* what was acknowledged last should arrive */
		strangers_unwatch(&b->controls[i]);
		zmq_setsockopt(b->controls[i].router, ZMQ_LINGER, &linger, sizeof linger);
		zmq_close(b->controls[i].router);
		if (b->controls[i].blob_path && !store_vanished(b))
			unlink(b->controls[i].blob_path);
		free(b->controls[i].url);
		free(b->controls[i].blob_path);
	}
	b->control_count = 0;
	auth_stop(b->auth);
	b->auth = NULL;
	if (b->zmq)
		zmq_ctx_term(b->zmq);
	b->zmq = NULL;
}

/* libzmq leaves the files of sockets behind; we still hold the lock. Where the store was taken
 * away and made anew, the files at those paths are another broker's. */
static void unlink_socket(struct broker *b, const struct control *c)
{
	if (c->is_tcp || !c->url || store_vanished(b))
		return;
	unlink(c->url + strlen("ipc://"));
}

void listen_admit(struct broker *b, bool admit)
{
	for (unsigned i = 0; i < b->control_count; i++) {
		struct control *c = &b->controls[i];
		if (!c->url || c->bound == admit)
			continue;
		c->hot = true;
		int rc = admit ? zmq_bind(c->router, c->url)
			       : zmq_unbind(c->router, c->url);
		if (rc < 0)
			log_error("admission not changed", "url=%s why=%s", c->url,
				  zmq_strerror(errno));
		else
			c->bound = admit;
		if (!rc && !admit)
			unlink_socket(b, c);
	}
	b->admission_closed = !admit;
}

static void say_unreachable(struct broker *b, const char *url, const char *why)
{
	if (!b->unreachable)
		log_error("nobody can connect", "url=%s why=%s", url, why);
	b->unreachable = true;
}

/* The first control socket is the one of run/; its folder may be gone, too, where it is not there. */
static void restore_own(struct broker *b)
{
	const char *path = b->controls[0].url + strlen("ipc://");
	struct err e = {0};
	if (store_tells_socket(b) && (access(path, F_OK) == 0 || errno != ENOENT))
		return;
	char *again = store_socket(b, &e);
	if (!again)
		say_unreachable(b, b->controls[0].url, e.what);
	free(again);
}

void listen_restore(struct broker *b)
{
	if (b->admission_closed || !b->control_count || store_vanished(b))
		return;
	restore_own(b);
	for (unsigned i = 0; i < b->control_count; i++) {
		struct control *c = &b->controls[i];
		int rc = c->bound ? restore_listener(c->router, c->url) : 0;
		if (rc < 0) {
			say_unreachable(b, c->url, strerror(-rc));
		} else if (rc > 0) {
			c->hot = true;
			b->unreachable = false;
			log_warn("listening again", "url=%s why=its file was removed",
				 c->url);
		}
	}
}

void listen_watch_descriptors(struct broker *b)
{
	uint64_t refused = accept_refused();
	if (refused == b->connections_refused)
		return;
	log_warn("connections refused",
		 "count=%llu why=file descriptors run out limit=%llu",
		 (unsigned long long)(refused - b->connections_refused),
		 (unsigned long long)b->fd_limit);
	b->connections_refused = refused;
}

/* auth.c - who is let in: every combination of key, mechanism and authenticator, over real TCP. */
#include "broker/net/auth.h"
#include "broker/blobs/blobs.h"
#include "common/clock.h"
#include "common/fs.h"
#include "proto/blob_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

struct rig {
	char folder[64];
	void *context;
	struct key_pair broker, me, stranger;
	struct auth *auth;
	struct cas *cas;
	struct blobs *blobs;
};

static void trust(const struct key_pair *pair, enum key_role role)
{
	struct key_trust row = {.role = role};
	memcpy(row.public, pair->public, KEY_SIZE);
	strcpy(row.name, pair->name);
	struct err e = {0};
	cr_assert_eq(key_trust_add(&row, &e), 0, "%s", e.what);
}

static enum key_role role_of(void *arg, const uint8_t key[KEY_SIZE])
{
	return auth_role(arg, key);
}

static void setup(struct rig *r, bool with_auth)
{
	struct err e = {0};
	*r = (struct rig){0};
	strcpy(r->folder, "/tmp/cashet-auth-XXXXXX");
	cr_assert(mkdtemp(r->folder));
	setenv("CASHET_CONFIG", r->folder, 1);
	cr_assert_eq(key_new("broker", &r->broker, &e), 0);
	cr_assert_eq(key_new("me", &r->me, &e), 0);
	cr_assert_eq(key_new("stranger", &r->stranger, &e), 0);
	trust(&r->me, ROLE_CLIENT);
	r->context = zmq_ctx_new();
	if (with_auth)
		cr_assert_eq(auth_start(&r->auth, r->context, &e), 0, "%s", e.what);
	cas_open_memory(&r->cas);
	struct blobs_endpoint endpoint = {"tcp://127.0.0.1:*", &r->broker};
	struct blobs_options o = {.zmq_context = r->context,
				  .cas = r->cas,
				  .endpoints = &endpoint,
				  .endpoint_count = 1,
				  .role = with_auth ? role_of : NULL,
				  .arg = r->auth};
	cr_assert_eq(blobs_start(&r->blobs, &o, &e), 0, "%s", e.what);
}

static void teardown(struct rig *r)
{
	blobs_stop(r->blobs);
	auth_stop(r->auth);
	cas_free(r->cas);
	zmq_ctx_term(r->context);
	fs_remove_tree(r->folder);
}

#define LONG_NS (60 * NS_PER_S) /* for who is let in: a busy machine takes its time */

/* try_put() - 0 if this key may store something, else the error, after @give_up_ns. */
static int try_put(struct rig *r, const struct key_pair *self, const uint8_t *server,
		   uint64_t give_up_ns)
{
	void *context = zmq_ctx_new();
	struct blob_client *c = NULL;
	struct blob_client_options o = {.zmq_context = context,
					.url = blobs_url(r->blobs, 0),
					.self = self,
					.server = server,
					.give_up_ns = give_up_ns};
	uint8_t digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_new(&c, &o, NULL), 0);
	int rc = blob_client_put(c, "hello", 5, digest, NULL);
	blob_client_free(c);
	zmq_ctx_term(context);
	return rc;
}

Test(auth, only_trusted_keys_are_let_in)
{
	struct rig r;
	setup(&r, true);
	cr_assert_eq(try_put(&r, &r.me, r.broker.public, LONG_NS), 0);
	cr_assert_eq(try_put(&r, &r.stranger, r.broker.public, NS_PER_S),
		     ERR_UNREACHABLE);
	cr_assert_eq(try_put(&r, NULL, NULL, NS_PER_S), ERR_UNREACHABLE); /* no CURVE */
	cr_assert_eq(try_put(&r, &r.me, r.me.public, NS_PER_S),
		     ERR_UNREACHABLE); /* another broker */
	cr_assert_geq(auth_refused(r.auth), 1);
	struct err e = {0};
	cr_assert_eq(auth_selftest(blobs_url(r.blobs, 0), r.broker.public, &e), 0, "%s",
		     e.what);
	teardown(&r);
}

Test(auth, without_an_authenticator_nobody_is_let_in)
{
	struct rig r;
	setup(&r, false);
	cr_assert_eq(try_put(&r, &r.me, r.broker.public, NS_PER_S), ERR_UNREACHABLE);
	struct err e = {0};
	cr_assert_eq(auth_selftest(blobs_url(r.blobs, 0), r.broker.public, &e), 0, "%s",
		     e.what);
	teardown(&r);
}

static void *let_all_in(void *arg)
{
	/* An authenticator that is broken: it accepts whatever it is asked. */
	void *socket = arg;
	char part[256], id[256] = "";
	for (;;) {
		int more = 1, id_size = 0;
		for (int i = 0; more; i++) {
			size_t size = sizeof more;
			int n = zmq_recv(socket, part, sizeof part, 0);
			if (n < 0) {
				zmq_close(socket);
				return NULL;
			}
			if (i == 1) {
				memcpy(id, part, (size_t)n);
				id_size = n;
			}
			zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
		}
		zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
		zmq_send(socket, id, (size_t)id_size, ZMQ_SNDMORE);
		zmq_send(socket, "200", 3, ZMQ_SNDMORE);
		zmq_send(socket, "OK", 2, ZMQ_SNDMORE);
		zmq_send(socket, "", 0, ZMQ_SNDMORE);
		zmq_send(socket, "", 0, 0);
	}
}

Test(auth, the_self_test_notices_a_broker_that_lets_strangers_in)
{
	struct err e = {0};
	struct key_pair broker;
	char folder[] = "/tmp/cashet-auth-XXXXXX", url[256];
	cr_assert(mkdtemp(folder));
	setenv("CASHET_CONFIG", folder, 1);
	cr_assert_eq(key_new("broker", &broker, &e), 0);
	void *context = zmq_ctx_new();
	void *authenticator =
		zmq_socket(context, ZMQ_REP); /* there before anybody asks */
	cr_assert_eq(zmq_bind(authenticator, "inproc://zeromq.zap.01"), 0);
	void *thread =
		zmq_threadstart((zmq_thread_fn *)(void *)let_all_in, authenticator);
	void *router = zmq_socket(context, ZMQ_ROUTER);
	endpoint_setup(router, 1000);
	cr_assert_eq(endpoint_secure_server(router, &broker), 0);
	cr_assert_eq(zmq_bind(router, "tcp://0.0.0.0:*"), 0);
	size_t size = sizeof url;
	zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, url, &size);
	cr_assert_eq(auth_selftest(url, broker.public, &e), ERR_NOT_ALLOWED, "%s",
		     e.what);
	zmq_close(router);
	zmq_ctx_term(context);
	zmq_threadclose(thread);
	cr_assert_eq(auth_selftest(url, broker.public, &e), ERR_UNREACHABLE);
	fs_remove_tree(folder);
}

Test(auth, trust_and_revocation_act_without_a_restart)
{
	struct rig r;
	struct err e = {0};
	char name[128];
	bool found;
	setup(&r, true);
	uint64_t generation = auth_generation(r.auth);
	cr_assert_eq(auth_role(r.auth, r.stranger.public), ROLE_NONE);
	trust(&r.stranger, ROLE_WORKER);
	cr_assert_eq(auth_reload(r.auth, &e), 0, "%s", e.what);
	cr_assert_eq(auth_role(r.auth, r.stranger.public), ROLE_WORKER);
	auth_name(r.auth, r.stranger.public, name);
	cr_assert_str_eq(name, "stranger");
	cr_assert_gt(auth_generation(r.auth), generation);
	cr_assert_eq(try_put(&r, &r.stranger, r.broker.public, LONG_NS), 0);
	/* By itself: the file is looked at. */
	cr_assert_eq(key_trust_remove(r.stranger.public, &found, &e), 0);
	uint64_t end = clock_mono_ns() + LONG_NS;
	while (auth_role(r.auth, r.stranger.public) != ROLE_NONE && clock_mono_ns() < end)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	cr_assert_eq(auth_role(r.auth, r.stranger.public), ROLE_NONE);
	cr_assert_eq(try_put(&r, &r.stranger, r.broker.public, NS_PER_S),
		     ERR_UNREACHABLE);
	teardown(&r);
}

Test(auth, a_revoked_key_loses_its_live_connection)
{
	struct rig r;
	struct err e = {0};
	bool found;
	setup(&r, true);
	struct blob_client *c = NULL;
	struct blob_client_options o = {.zmq_context = r.context,
					.url = blobs_url(r.blobs, 0),
					.self = &r.me,
					.server = r.broker.public,
					.give_up_ns = LONG_NS};
	uint8_t digest[DIGEST_SIZE];
	cr_assert_eq(blob_client_new(&c, &o, &e), 0);
	cr_assert_eq(blob_client_put(c, "a", 1, digest, &e), 0, "%s", e.what);
	cr_assert_eq(key_trust_remove(r.me.public, &found, &e), 0);
	cr_assert_eq(auth_reload(r.auth, &e), 0);
	cr_assert_eq(blob_client_put(c, "b", 1, digest, &e), ERR_NOT_ALLOWED, "%s",
		     e.what);
	blob_client_free(c);
	teardown(&r);
}

Test(auth, a_key_is_judged_by_the_table_as_it_is_when_it_comes)
{
	struct rig r;
	struct err e = {0};
	bool found;
	setup(&r, true);
	for (int round = 0; round < 3; round++) {
		trust(&r.stranger, ROLE_CLIENT);
		cr_assert_eq(try_put(&r, &r.stranger, r.broker.public, LONG_NS), 0);
		cr_assert_eq(key_trust_remove(r.stranger.public, &found, &e), 0);
		cr_assert_eq(try_put(&r, &r.stranger, r.broker.public, NS_PER_S),
			     ERR_UNREACHABLE, "nobody told the authenticator to look");
	}
	teardown(&r);
}

Test(auth, an_observer_may_read_and_not_store)
{
	struct rig r;
	struct err e = {0};
	setup(&r, true);
	trust(&r.stranger, ROLE_OBSERVER);
	auth_reload(r.auth, &e);
	struct blob_client *c = NULL;
	struct blob_client_options o = {.zmq_context = r.context,
					.url = blobs_url(r.blobs, 0),
					.self = &r.stranger,
					.server = r.broker.public};
	uint8_t digest[DIGEST_SIZE];
	struct buf out = {0};
	cr_assert_eq(cas_put(r.cas, "hello", 5, NULL, digest), 0);
	cr_assert_eq(blob_client_new(&c, &o, &e), 0);
	cr_assert_eq(blob_client_get_buf(c, digest, 5, &out, &e), 0, "%s", e.what);
	cr_assert_str_eq(buf_cstr(&out), "hello");
	cr_assert_eq(blob_client_put(c, "b", 1, digest, &e), ERR_NOT_ALLOWED, "%s",
		     e.what);
	buf_fini(&out);
	blob_client_free(c);
	teardown(&r);
}

Test(auth, a_bad_line_trusts_nobody_and_the_others_stay)
{
	struct rig r;
	struct err e = {0};
	setup(&r, true);
	struct buf text = {0};
	char *path = key_trust_path(ROLE_CLIENT);
	cr_assert_eq(fs_read_file(path, 4096, &text), 0);
	buf_add_str(&text, "some nonsense\n");
	cr_assert_eq(fs_write_atomic(path, text.data, text.size, 0600), 0);
	cr_assert_eq(auth_reload(r.auth, &e), ERR_USAGE);
	cr_assert_eq(auth_role(r.auth, r.me.public), ROLE_CLIENT);
	buf_fini(&text);
	free(path);
	teardown(&r);
}

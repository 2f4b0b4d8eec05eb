/* transport.c - ZMTP over a Unix socket against a peer that is libzmq, and against ones that are not. */
#include "client/transport.h"
#include "common/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

TestSuite(transport, .timeout = 240);

static char url[128];

static const char *path(void)
{
	return url + strlen("ipc://");
}

static void name_it(const char *name)
{
	snprintf(url, sizeof url, "ipc:///tmp/cashet-test-%d-%s.sock", (int)getpid(),
		 name);
	unlink(path());
}

static struct transport *open_it(size_t message_max)
{
	struct transport *t = NULL;
	struct err e;
	struct transport_options options = {.url = url, .message_max = message_max};
	cr_assert_eq(transport_ipc.open(&t, &options, &e), 0, "%s", e.what);
	return t;
}

/* Until a message is there or the connection is lost. Return: as recv(). */
static int receive(struct transport *t, const uint8_t **data, size_t *size)
{
	uint64_t until = clock_mono_ns() + 5 * NS_PER_S;
	while (clock_mono_ns() < until) {
		int r = t->kind->recv(t, data, size);
		if (r != 1 || t->kind->state(t) != TRANSPORT_WORKING)
			return r;
		t->kind->wait(t, NS_PER_S / 10);
	}
	return 1;
}

/* ---- libzmq */

static void *echo(void *router)
{
	zmq_msg_t route, message;
	for (;;) {
		zmq_msg_init(&route);
		zmq_msg_init(&message);
		if (zmq_msg_recv(&route, router, 0) < 0 ||
		    zmq_msg_recv(&message, router, 0) < 0)
			break;
		bool last = zmq_msg_size(&message) == 4 &&
			    memcmp(zmq_msg_data(&message), "stop", 4) == 0;
		zmq_msg_send(&route, router, ZMQ_SNDMORE);
		zmq_msg_send(&message, router, 0);
		if (last)
			break;
	}
	return NULL;
}

Test(transport, messages_of_all_sizes_come_back_from_libzmq)
{
	static const size_t sizes[] = {0,     1,     254,     255,    256,
				       65535, 65536, 1 << 20, 9 << 20};
	name_it("echo");
	void *zmq = zmq_ctx_new(), *router = zmq_socket(zmq, ZMQ_ROUTER);
	int heartbeat = 50, patience = 3000; /* its PINGs are answered all the while */
	zmq_setsockopt(router, ZMQ_HEARTBEAT_IVL, &heartbeat, sizeof heartbeat);
	zmq_setsockopt(router, ZMQ_HEARTBEAT_TIMEOUT, &patience, sizeof patience);
	cr_assert_eq(zmq_bind(router, url), 0);
	pthread_t thread;
	pthread_create(&thread, NULL, echo, router);
	struct transport *t = open_it(16 << 20);
	uint8_t *text = malloc(9 << 20);
	for (size_t i = 0; i < 9 << 20; i++)
		text[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		cr_assert_eq(t->kind->send(t, text, sizes[i]), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const uint8_t *data;
		size_t size;
		cr_assert_eq(receive(t, &data, &size), 0);
		cr_assert_eq(size, sizes[i]);
		cr_assert_eq(memcmp(data, text, size), 0);
	}
	for (int i = 0; i < 70; i++) { /* silence, but for heartbeats */
		const uint8_t *data;
		size_t size;
		t->kind->wait(t, 50 * NS_PER_MS);
		cr_assert_eq(t->kind->recv(t, &data, &size), 1);
	}
	cr_assert_eq(t->kind->state(t), TRANSPORT_WORKING);
	const uint8_t *data;
	size_t size;
	cr_assert_eq(t->kind->send(t, "stop", 4), 0);
	cr_assert_eq(receive(t, &data, &size), 0);
	pthread_join(thread, NULL);
	int linger = 0;
	zmq_setsockopt(router, ZMQ_LINGER, &linger, sizeof linger);
	zmq_close(router);
	zmq_ctx_term(zmq);
	cr_assert_eq(receive(t, &data, &size), 1);
	cr_assert_eq(t->kind->state(t), TRANSPORT_LOST);
	cr_assert_eq(t->kind->send(t, "x", 1), 1);
	t->kind->close(t);
	free(text);
	unlink(path());
}

/* ---- peers that are something else */

struct peer {
	int listener;
	const void *says;
	size_t size;
};

static void *speak(void *arg)
{
	struct peer *p = arg;
	char heard[4096];
	int fd = accept(p->listener, NULL, NULL);
	if (fd < 0 || write(fd, p->says, p->size) != (ssize_t)p->size)
		return NULL;
	shutdown(fd, SHUT_WR);
	while (read(fd, heard, sizeof heard) > 0)
		;
	close(fd);
	return NULL;
}

static enum transport_state meet(const void *says, size_t size, size_t message_max,
				 int messages)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct peer p = {.says = says, .size = size};
	name_it("stranger");
	strcpy(address.sun_path, path());
	p.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(p.listener, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(p.listener, 1), 0);
	pthread_t thread;
	pthread_create(&thread, NULL, speak, &p);
	struct transport *t = open_it(message_max);
	cr_assert_eq(t->kind->send(t, "hello", 5), 0);
	const uint8_t *data;
	size_t got;
	while (receive(t, &data, &got) == 0)
		messages--;
	cr_assert_eq(messages, 0);
	enum transport_state state = t->kind->state(t);
	t->kind->close(t);
	pthread_join(thread, NULL);
	close(p.listener);
	unlink(path());
	return state;
}

#define GREETING                                                                         \
	"\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"             \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define READY "\4\6\5READY"
#define MEET(text, max, messages) meet(text, sizeof(text) - 1, max, messages)

Test(transport, strangers_are_lost_and_not_believed)
{
	_Static_assert(sizeof GREETING - 1 == 64, "a greeting has 64 bytes");
	cr_assert_eq(MEET("", 100, 0), TRANSPORT_LOST);
	cr_assert_eq(MEET("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"
			  "<html><body>what?</body></html>",
			  100, 0),
		     TRANSPORT_LOST);
	cr_assert_eq(MEET(GREETING, 100, 0), TRANSPORT_LOST);
	/* a message before READY */
	cr_assert_eq(MEET(GREETING "\0\1x", 100, 0), TRANSPORT_LOST);
	/* larger than allowed, told before it is there */
	cr_assert_eq(MEET(GREETING READY "\2\0\0\0\0\0\0\1\0", 100, 0), TRANSPORT_LOST);
	cr_assert_eq(MEET(GREETING READY "\2\xff\xff\xff\xff\xff\xff\xff\xff", 100, 0),
		     TRANSPORT_LOST);
	/* a frame that is not of this protocol */
	cr_assert_eq(MEET(GREETING READY "\xf0\1x", 100, 0), TRANSPORT_LOST);
	/* cut in the middle of one */
	cr_assert_eq(MEET(GREETING READY "\0\5abc", 100, 0), TRANSPORT_LOST);
	/* two messages, then the end */
	cr_assert_eq(MEET(GREETING READY "\0\1x\0\2yz", 100, 2), TRANSPORT_LOST);
	/* commands that nobody knows are passed over */
	cr_assert_eq(MEET(GREETING READY "\4\5\4WHAT\0\1x", 100, 1), TRANSPORT_LOST);
	cr_assert_eq(MEET(GREETING READY "\4\5\4PING\4\7\4PING\0\1\0\1x", 100, 1),
		     TRANSPORT_LOST);
}

Test(transport, a_peer_with_keys_is_told_apart)
{
	char greeting[64];
	memcpy(greeting, GREETING, sizeof greeting);
	memcpy(greeting + 12, "CURVE", 5);
	cr_assert_eq(meet(greeting, sizeof greeting, 100, 0), TRANSPORT_KEYS_DIFFER);
	cr_assert_eq(MEET(GREETING "\4\7\5ERROR\0", 100, 0), TRANSPORT_KEY_REFUSED);
}

Test(transport, nobody_there_is_an_error_at_once)
{
	struct transport *t;
	struct err e;
	name_it("nobody");
	struct transport_options options = {.url = url, .message_max = 100};
	cr_assert_eq(transport_ipc.open(&t, &options, &e), ERR_UNREACHABLE);
}

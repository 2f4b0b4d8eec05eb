/* parts.c - the small parts of the broker, alone. */
#include "broker/map.h"
#include "broker/net/accept.h"
#include "broker/options.h"
#include "common/pure/mem.h"
#include "proto/cashet.pb-c.h"
#include "proto/pb.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

Test(pb, what_is_written_is_what_protobuf_reads)
{
	CLEANUP_BUF struct buf b = {0};
	char text[300];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	pb_uint(&b, 1, 77);
	size_t outer = pb_open(&b, 23); /* Progress */
	pb_bytes(&b, 1, "12345678901234567890123456789012", 32);
	size_t counts = pb_open(&b, 2);
	pb_uint(&b, 1, UINT64_MAX);
	pb_uint(&b, 2, 0); /* left out */
	pb_uint(&b, 5, 128);
	pb_close(&b, counts);
	pb_uint(&b, 3, true);
	size_t notice = pb_open(&b, 5);
	pb_text(&b, 6, text); /* its length takes two bytes */
	pb_close(&b, notice);
	size_t page = pb_open(&b, 7);
	size_t task = pb_open(&b, 8);
	pb_sint(&b, 6, -1);
	pb_sint(&b, 7, INT32_MIN);
	size_t metric = pb_open(&b, 14);
	pb_double(&b, 4, -0.25);
	pb_close(&b, metric);
	pb_close(&b, task);
	pb_close(&b, page);
	pb_close(&b, outer);
	Cashet__Envelope *e = cashet__envelope__unpack(NULL, b.size, b.data);
	cr_assert(e && e->serial == 77);
	cr_assert(e->body_case == CASHET__ENVELOPE__BODY_PROGRESS);
	const Cashet__Progress *p = e->progress;
	cr_assert(p->batch.len == 32 && p->ended);
	cr_assert(p->counts->total == UINT64_MAX && p->counts->cached == 128);
	cr_assert_str_eq(p->notices[0]->error, text);
	const Cashet__TaskResult *t = p->results->tasks[0];
	cr_assert(t->exit_code == -1 && t->term_signal == INT32_MIN);
	cr_assert(t->metrics[0]->number == -0.25);
	cashet__envelope__free_unpacked(e, NULL);
}

Test(pb, fields_are_found_and_malformed_messages_end_the_search)
{
	CLEANUP_BUF struct buf b = {0};
	pb_uint(&b, 1, 300);
	pb_fixed64(&b, 2, 7);
	pb_bytes(&b, 3, "abc", 3);
	pb_bytes(&b, 3, "de", 2);
	const uint8_t *at = b.data, *end = b.data + b.size;
	struct pb_field f;
	cr_assert(pb_next(&at, end, &f) && f.number == 1 && f.value == 300);
	cr_assert(pb_next(&at, end, &f) && f.number == 2 && f.value == 7);
	cr_assert(pb_find(&at, end, 3, &f) && f.size == 3);
	cr_assert(pb_find(&at, end, 3, &f) && f.size == 2);
	cr_assert(!pb_find(&at, end, 3, &f) && at == end);
	for (size_t cut = 1; cut < b.size; cut++) {
		at = b.data;
		while (pb_next(&at, b.data + cut, &f))
			cr_assert(at <= b.data + cut);
	}
	static const uint8_t group[] = {0x0b},
			     huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f};
	at = group;
	cr_assert(!pb_next(&at, group + sizeof group, &f));
	at = huge;
	cr_assert(!pb_next(&at, huge + sizeof huge, &f));
}

struct item {
	struct map_node node;
	uint64_t key;
};

static struct item *lookup(const struct map *map, uint64_t key)
{
	for (struct map_node *n = map_first(map, map_hash_number(key % 100)); n;
	     n = map_next(n)) {
		struct item *item = container_of(n, struct item, node);
		if (item->key == key)
			return item;
	}
	return NULL;
}

Test(map, nodes_are_found_among_many_and_among_those_with_one_hash)
{
	struct map map = {0};
	struct item items[1000];
	map_seed();
	cr_assert(!map_first(&map, 1) && !map_any(&map));
	for (uint64_t i = 0; i < 1000; i++) {
		items[i].key = i;
		map_add(&map, &items[i].node, map_hash_number(i % 100));
	}
	cr_assert(map.count == 1000);
	for (uint64_t i = 0; i < 1000; i++)
		cr_assert(lookup(&map, i) == &items[i]);
	for (uint64_t i = 0; i < 1000; i += 2)
		map_remove(&map, &items[i].node);
	for (uint64_t i = 0; i < 1000; i++)
		cr_assert((lookup(&map, i) != NULL) == (i % 2 == 1));
	struct map_node *n;
	while ((n = map_any(&map)))
		map_remove(&map, n);
	cr_assert(map.count == 0);
	map_fini(&map);
}

Test(map, hash_depends_on_every_byte_and_on_the_size)
{
	map_seed();
	uint8_t key[40] = {0};
	uint64_t before = map_hash(key, sizeof key);
	cr_assert(map_hash(key, sizeof key - 1) != before);
	for (size_t i = 0; i < sizeof key; i++) {
		key[i] = 1;
		cr_assert(map_hash(key, sizeof key) != before);
		key[i] = 0;
	}
}

static int dial(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
	return fd;
}

Test(accept, connections_are_refused_before_descriptors_run_out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/cashet-unit-XXXXXX";
	cr_assert(mkdtemp(dir));
	snprintf(address.sun_path, sizeof address.sun_path, "%s/s", dir);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
	cr_assert(listen(listener, 16) == 0);
	int first = dial(&address), taken = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert(taken >= 0);
	accept_limit(4, 3); /* fewer than are open already */
	int second = dial(&address);
	cr_assert(accept4(listener, NULL, NULL, SOCK_CLOEXEC) == -1);
	cr_assert(errno == ECONNABORTED && accept_refused() == 1);
	char byte;
	cr_assert(read(second, &byte, 1) == 0, "the connection too many must be closed");
	cr_assert(send(first, "x", 1, MSG_NOSIGNAL) == 1);
	cr_assert(read(taken, &byte, 1) == 1, "the ones that there were must go on");
	unlink(address.sun_path);
	rmdir(dir);
}

static int parse(struct options *o, struct err *e, const char *const *words)
{
	char *argv[16];
	int argc = 0;
	enum options_do what;
	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	argv[argc] = NULL;
	return options_parse(o, argc, argv, &what, e);
}

#define PARSE(o, e, ...)                                                                 \
	parse(o, e, (const char *const[]){"cashet-broker", __VA_ARGS__, NULL})

Test(options, are_understood)
{
	struct options o;
	struct err e = {0};
	cr_assert(!PARSE(&o, &e, "--listen", "tcp://0.0.0.0:7410", "--listen",
			 "ipc:///tmp/x.sock", "--store", "/srv/s", "--drain-timeout",
			 "10m", "--insecure"));
	cr_assert(o.listen_count == 2 && o.insecure);
	cr_assert_str_eq(o.store, "/srv/s");
	cr_assert(o.drain_timeout_ns == 600 * NS_PER_S);
}

Test(options, slips_are_named_with_what_was_meant)
{
	struct options o;
	struct err e = {0};
	cr_assert(PARSE(&o, &e, "--lisen", "tcp://x:1") == ERR_USAGE);
	cr_assert(strstr(e.next, "--listen"), "%s", e.next);
	cr_assert(PARSE(&o, &e, "--listen", "http://x") == ERR_USAGE);
	cr_assert(PARSE(&o, &e, "--drain-timeout", "soon") == ERR_USAGE);
	cr_assert(PARSE(&o, &e, "--log-level", "loud") == ERR_USAGE);
	cr_assert(PARSE(&o, &e, "--store") == ERR_USAGE);
	cr_assert(PARSE(&o, &e, "stauts") == ERR_USAGE);
	cr_assert(strstr(e.next, "status"), "%s", e.next);
	cr_assert(PARSE(&o, &e, "--private", "--listen", "ipc:///tmp/x") == ERR_USAGE);
}

/* endpoint.c - addresses, and options that sockets must have. */
#include "proto/endpoint.h"
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

Test(endpoint, addresses_are_checked)
{
	static const char *const good[] = {
		"tcp://host:7410", "tcp://10.0.0.1:1", "tcp://[::1]:65535",
		"tcp://0.0.0.0:*", "tcp://*:7410",     "ipc:///tmp/x",
		"ipc://relative",
	};
	static const char *const bad[] = {
		"",
		"host:7410",
		"tcp://",
		"tcp://host",
		"tcp://host:",
		"tcp://:1",
		"tcp://h:0",
		"tcp://h:65536",
		"tcp://h:1x",
		"tcp://::1:7410",
		"tcp://h :1",
		"udp://h:1",
		"ipc://",
		"tcp://[]:1",
		"tcp://a/b:1",
		"inproc://x",
		"tcp://h:-1",
		"tcp://h:123456",
	};
	struct err e;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		cr_expect_eq(endpoint_check(good[i], &e), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(endpoint_check(bad[i], &e), ERR_USAGE, "%s", bad[i]);
	char path[200] = "ipc:///tmp/";
	memset(path + 11, 'x', 150);
	cr_expect_eq(endpoint_check(path, &e), ERR_USAGE);
}

Test(endpoint, blobs_are_beside_the_control_socket)
{
	char *url = endpoint_blob_url("tcp://node-1:7410", 7411, "");
	cr_assert_str_eq(url, "tcp://node-1:7411");
	free(url);
	url = endpoint_blob_url("tcp://[::1]:7410", 9, NULL);
	cr_assert_str_eq(url, "tcp://[::1]:9");
	free(url);
	url = endpoint_blob_url("ipc:///x/broker.sock", 0, "/x/broker.sock.blobs");
	cr_assert_str_eq(url, "ipc:///x/broker.sock.blobs");
	free(url);
	cr_assert_null(endpoint_blob_url("tcp://h:7410", 0, ""));
	cr_assert_null(endpoint_blob_url("tcp://h:7410", 70000, ""));
	cr_assert_null(endpoint_blob_url("ipc:///x", 0, ""));
}

Test(endpoint, a_message_of_any_size_is_not_accepted)
{
	void *context = zmq_ctx_new();
	void *socket = zmq_socket(context, ZMQ_ROUTER);
	endpoint_setup(socket, WIRE_MESSAGE_MAX);
	int64_t max = 0;
	size_t size = sizeof max;
	cr_assert_eq(zmq_getsockopt(socket, ZMQ_MAXMSGSIZE, &max, &size), 0);
	cr_assert_eq(max, WIRE_MESSAGE_MAX);
	int linger = -1;
	size = sizeof linger;
	cr_assert_eq(zmq_getsockopt(socket, ZMQ_LINGER, &linger, &size), 0);
	cr_assert_eq(linger, 0);
	zmq_close(socket);
	zmq_ctx_term(context);
}

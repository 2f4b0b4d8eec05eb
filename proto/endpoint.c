/* endpoint.c - see endpoint.h. Why each option is set:
 *   LINGER 0           what matters is acknowledged; a program ends when it wants to
 *   SNDHWM, RCVHWM     a slow peer has a bounded queue
 *   MAXMSGSIZE         libzmq reserves what a frame's header announces; unset, that is
 * anything HEARTBEAT_*        a half-open connection is noticed without waiting for TCP
 *   HANDSHAKE_IVL      who connects and says nothing does not hold a descriptor for 30 s
 *   ROUTER_MANDATORY   a send to a peer that is gone or full is an error, not a silent
 * drop ROUTER_HANDOVER 0  nobody takes over a connection by choosing its routing id
 *   ZAP_ENFORCE_DOMAIN with 4.3.4 a domain alone lets everybody in while no handler
 * answers */
#include "proto/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <zmq.h>

/* Still marked as draft, so distributions leave it out of zmq.h; the library has it. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define TCP "tcp://"
#define IPC "ipc://"
#define QUEUE_MAX 1000 /* messages per peer and direction */

bool endpoint_is_tcp(const char *url)
{
	return strncmp(url, TCP, strlen(TCP)) == 0;
}

/* host_size() - bytes of HOST in "HOST:PORT" with HOST perhaps "[::1]"; 0 if there is no
 * port. */
static size_t host_size(const char *address)
{
	const char *colon = strrchr(address, ':');
	if (!colon || colon == address)
		return 0;
	size_t size = (size_t)(colon - address);
	if (address[0] == '[')
		return size >= 3 && colon[-1] == ']' ? size : 0;
	return memchr(address, ':', size) ? 0 : size; /* IPv6 without brackets */
}

static bool port_is_valid(const char *text)
{
	if (strcmp(text, "*") == 0) /* any free one, when listening */
		return true;
	size_t digits = strspn(text, "0123456789");
	if (!digits || digits > 5 || text[digits])
		return false;
	int port = atoi(text);
	return port >= 1 && port <= 65535;
}

int endpoint_check(const char *url, struct err *e)
{
	if (endpoint_is_tcp(url)) {
		const char *address = url + strlen(TCP);
		size_t host = host_size(address);
		bool is_clean = strcspn(address, " \t\r\n/;@") == strlen(address);
		if (host && is_clean && strlen(address) < 300 &&
		    port_is_valid(address + host + 1))
			return 0;
		err_set(e, ERR_USAGE,
			"'%s' is not an address: HOST:PORT is missing or wrong", url);
		err_next(e, "write it as tcp://HOST:%d, an IPv6 host in brackets",
			 ENDPOINT_PORT);
		return ERR_USAGE;
	}
	if (strncmp(url, IPC, strlen(IPC)) == 0) {
		size_t size = strlen(url) - strlen(IPC);
		size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
		if (size && size <= max)
			return 0;
		if (!size)
			err_set(e, ERR_USAGE, "'%s' names no socket file", url);
		else
			err_set(e, ERR_USAGE,
				"the socket path of '%s' is %zu bytes long, %zu is the "
				"most",
				url, size, max);
		err_next(e, "write it as ipc:///PATH/broker.sock");
		return ERR_USAGE;
	}
	err_set(e, ERR_USAGE, "'%s' is not the address of a broker", url);
	err_next(e, "write it as tcp://HOST:%d or ipc:///PATH", ENDPOINT_PORT);
	return ERR_USAGE;
}

char *endpoint_blob_url(const char *url, uint32_t blob_port, const char *blob_path)
{
	char *out = NULL;
	int rc = -1;
	if (endpoint_is_tcp(url)) {
		const char *address = url + strlen(TCP);
		size_t host = host_size(address);
		if (!host || !blob_port || blob_port > 65535)
			return NULL;
		rc = asprintf(&out, TCP "%.*s:%u", (int)host, address, blob_port);
	} else if (blob_path && blob_path[0]) {
		rc = asprintf(&out, IPC "%s", blob_path);
	}
	return rc < 0 ? NULL : out;
}

/* The options below exist in every libzmq that has CURVE; refusing one is a bug of ours.
 */
static void set_int(void *socket, int option, int value)
{
	int rc = zmq_setsockopt(socket, option, &value, sizeof value);
	assert(rc == 0);
	(void)rc;
}

void endpoint_setup(void *socket, size_t message_max)
{
	int64_t max = (int64_t)message_max;
	int rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
	assert(rc == 0);
	set_int(socket, ZMQ_LINGER, 0);
	set_int(socket, ZMQ_SNDHWM, QUEUE_MAX);
	set_int(socket, ZMQ_RCVHWM, QUEUE_MAX);
	set_int(socket, ZMQ_HEARTBEAT_IVL, 2000);
	set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, 6000);
	set_int(socket, ZMQ_HEARTBEAT_TTL, 6000);
	set_int(socket, ZMQ_HANDSHAKE_IVL, ENDPOINT_HANDSHAKE_MS);
	set_int(socket, ZMQ_IPV6, 1);
	set_int(socket, ZMQ_RECONNECT_IVL, 50);
	set_int(socket, ZMQ_RECONNECT_IVL_MAX, 2000);
	int type = 0;
	size_t size = sizeof type;
	rc = zmq_getsockopt(socket, ZMQ_TYPE, &type, &size);
	assert(rc == 0);
	(void)rc;
	if (type == ZMQ_ROUTER) {
		set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
		set_int(socket, ZMQ_ROUTER_HANDOVER, 0);
		set_int(socket, ZMQ_BACKLOG, 1024);
	}
}

char *endpoint_bound(void *socket)
{
	static const char mapped[] = TCP "[::ffff:";
	char bound[512], *out = NULL;
	size_t size = sizeof bound;
	if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) < 0 || !bound[0])
		return NULL;
	const char *close = strrchr(bound, ']'), *host = bound + strlen(mapped);
	if (strncmp(bound, mapped, strlen(mapped)) != 0 || !close ||
	    !memchr(host, '.', (size_t)(close - host)))
		return strdup(bound);
	return asprintf(&out, TCP "%.*s%s", (int)(close - host), host, close + 1) < 0
		       ? NULL
		       : out;
}

static int set_key(void *socket, int option, const uint8_t key[KEY_SIZE])
{
	return zmq_setsockopt(socket, option, key, KEY_SIZE) < 0 ? -errno : 0;
}

int endpoint_secure_client(void *socket, const struct key_pair *self,
			   const uint8_t server[KEY_SIZE])
{
	if (!self || !server)
		return 0;
	int rc = set_key(socket, ZMQ_CURVE_SERVERKEY, server);
	if (rc == 0)
		rc = set_key(socket, ZMQ_CURVE_PUBLICKEY, self->public);
	if (rc == 0)
		rc = set_key(socket, ZMQ_CURVE_SECRETKEY, self->secret);
	return rc;
}

int endpoint_secure_server(void *socket, const struct key_pair *self)
{
	static const char domain[] = "cashet";
	int on = 1;
	if (zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain)) < 0 ||
	    zmq_setsockopt(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof on) < 0 ||
	    zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on) < 0)
		return -errno;
	return set_key(socket, ZMQ_CURVE_SECRETKEY, self->secret);
}

/* zmq_lazy.c - ZeroMQ's functions, loaded when the first of them is called. libzmq brings sixteen
 * libraries along, and loading them takes four times as long as all that a cached `cashet-submit`
 * does; only tcp and the transfer of blobs need them. Linked into the programs in place of -lzmq;
 * libcashet links libzmq as usual.
 *
 * To add a function: a row in FUNCTIONS and its definition below; the linker names what is missing.
 * Where the library is not there, making a context fails with ELIBACC, and nobody gets further. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zmq.h>

#define LIBRARY "libzmq.so.5"

#define FUNCTIONS(X)                                                                     \
	X(zmq_close)                                                                     \
	X(zmq_connect)                                                                   \
	X(zmq_ctx_new)                                                                   \
	X(zmq_ctx_set)                                                                   \
	X(zmq_ctx_term)                                                                  \
	X(zmq_curve_keypair)                                                             \
	X(zmq_curve_public)                                                              \
	X(zmq_errno)                                                                     \
	X(zmq_getsockopt)                                                                \
	X(zmq_msg_close)                                                                 \
	X(zmq_msg_data)                                                                  \
	X(zmq_msg_gets)                                                                  \
	X(zmq_msg_init)                                                                  \
	X(zmq_msg_init_size)                                                             \
	X(zmq_msg_more)                                                                  \
	X(zmq_msg_move)                                                                  \
	X(zmq_msg_recv)                                                                  \
	X(zmq_msg_send)                                                                  \
	X(zmq_msg_size)                                                                  \
	X(zmq_poll)                                                                      \
	X(zmq_recv)                                                                      \
	X(zmq_send)                                                                      \
	X(zmq_setsockopt)                                                                \
	X(zmq_socket)                                                                    \
	X(zmq_socket_monitor)                                                            \
	X(zmq_strerror)                                                                  \
	X(zmq_z85_decode)                                                                \
	X(zmq_z85_encode)

static struct {
#define MEMBER(name) __typeof__(name) *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
} real;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int loaded; /* all of them */

static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return;
	loaded = 1;
#define FIND(name)                                                                       \
	*(void **)&real.name = dlsym(library, #name);                                    \
	loaded = loaded && real.name;
	FUNCTIONS(FIND)
#undef FIND
}

static int is_there(void)
{
	pthread_once(&once, load);
	if (!loaded)
		errno = ELIBACC;
	return loaded;
}

#define DEFINE(type, name, parameters, arguments, otherwise)                             \
	type name parameters                                                             \
	{                                                                                \
		return is_there() ? real.name arguments : (otherwise);                   \
	}

DEFINE(int, zmq_close, (void *s), (s), -1)
DEFINE(int, zmq_connect, (void *s, const char *url), (s, url), -1)
DEFINE(void *, zmq_ctx_new, (void), (), NULL)
DEFINE(int, zmq_ctx_set, (void *c, int option, int value), (c, option, value), -1)
DEFINE(int, zmq_ctx_term, (void *c), (c), -1)
DEFINE(int, zmq_curve_keypair, (char *public, char *secret), (public, secret), -1)
DEFINE(int, zmq_curve_public, (char *public, const char *secret), (public, secret), -1)
DEFINE(int, zmq_errno, (void), (), ELIBACC)
DEFINE(int, zmq_getsockopt, (void *s, int option, void *value, size_t *size),
       (s, option, value, size), -1)
DEFINE(int, zmq_msg_close, (zmq_msg_t * m), (m), -1)
DEFINE(void *, zmq_msg_data, (zmq_msg_t * m), (m), NULL)
DEFINE(const char *, zmq_msg_gets, (const zmq_msg_t *m, const char *name), (m, name),
       NULL)
DEFINE(int, zmq_msg_init, (zmq_msg_t * m), (m), -1)
DEFINE(int, zmq_msg_init_size, (zmq_msg_t * m, size_t size), (m, size), -1)
DEFINE(int, zmq_msg_more, (const zmq_msg_t *m), (m), 0)
DEFINE(int, zmq_msg_move, (zmq_msg_t * to, zmq_msg_t *from), (to, from), -1)
DEFINE(int, zmq_msg_recv, (zmq_msg_t * m, void *s, int flags), (m, s, flags), -1)
DEFINE(int, zmq_msg_send, (zmq_msg_t * m, void *s, int flags), (m, s, flags), -1)
DEFINE(size_t, zmq_msg_size, (const zmq_msg_t *m), (m), 0)
DEFINE(int, zmq_poll, (zmq_pollitem_t * items, int count, long timeout),
       (items, count, timeout), -1)
DEFINE(int, zmq_recv, (void *s, void *data, size_t size, int flags),
       (s, data, size, flags), -1)
DEFINE(int, zmq_send, (void *s, const void *data, size_t size, int flags),
       (s, data, size, flags), -1)
DEFINE(int, zmq_setsockopt, (void *s, int option, const void *value, size_t size),
       (s, option, value, size), -1)
DEFINE(void *, zmq_socket, (void *c, int type), (c, type), NULL)
DEFINE(int, zmq_socket_monitor, (void *s, const char *url, int events), (s, url, events),
       -1)
DEFINE(const char *, zmq_strerror, (int error), (error), strerror(error))
DEFINE(uint8_t *, zmq_z85_decode, (uint8_t * out, const char *text), (out, text), NULL)
DEFINE(char *, zmq_z85_encode, (char *out, const uint8_t *data, size_t size),
       (out, data, size), NULL)

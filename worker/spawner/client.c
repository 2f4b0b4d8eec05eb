/* client.c - the worker's side of the sockets to the spawner and the slots; see
 * spawner.h. */
#include "worker/spawner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

int spawner_request_slot(int spawner, uint32_t slot)
{
	struct spawner_message message = {SPAWNER_NEW_SLOT, slot, 0, 0};
	if (send(spawner, &message, sizeof message, MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int spawner_receive(int spawner, struct spawner_message *message, int *sockp)
{
	union control control;
	struct iovec iov = {message, sizeof *message};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	ssize_t n = recvmsg(spawner, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (n != sizeof *message)
		return -EPIPE;
	*sockp = -1;
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_type == SCM_RIGHTS) {
		memcpy(sockp, CMSG_DATA(head), sizeof *sockp);
		fcntl(*sockp, F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int send_with_fds(int sock, struct msghdr *msg, const int *fds, size_t count)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	if (count) {
		msg->msg_control = &control;
		msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(msg);
		*head = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	}
	return sendmsg(sock, msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Return: a descriptor of @strings, or negative errno. */
static int keep_strings(const void *strings, size_t size)
{
	int fd = memfd_create("arguments", MFD_CLOEXEC);
	int rc = fd < 0 ? -errno : 0;
	for (size_t done = 0; rc == 0 && done < size;) {
		ssize_t n = write(fd, (const char *)strings + done, size - done);
		if (n < 0 && errno != EINTR)
			rc = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return rc;
}

int slot_send_run(int sock, uint32_t run, const struct slot_program *program)
{
	if (program->size > UINT32_MAX)
		return -E2BIG;
	struct slot_request request = {.type = SLOT_RUN,
				       .run = run,
				       .memory_max = program->memory_max,
				       .argc = program->argc,
				       .envc = program->envc,
				       .size = (uint32_t)program->size,
				       .has_channel = program->channel >= 0};
	struct iovec iov[2] = {{&request, sizeof request},
			       {(void *)(uintptr_t)program->strings, program->size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	int fds[2], kept = -1;
	size_t count = 0;
	if (program->size > SLOT_INLINE_MAX) {
		kept = keep_strings(program->strings, program->size);
		if (kept < 0)
			return kept;
		fds[count++] = kept;
		msg.msg_iovlen = 1;
	}
	if (program->channel >= 0)
		fds[count++] = program->channel;
	int rc = send_with_fds(sock, &msg, fds, count);
	if (kept >= 0)
		close(kept);
	return rc;
}

int slot_send_signal(int sock, uint32_t run, int signal)
{
	struct slot_request request = {
		.type = SLOT_SIGNAL, .run = run, .signal = (uint32_t)signal};
	return send(sock, &request, sizeof request, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int slot_receive(int sock, struct slot_report *report)
{
	ssize_t n = recv(sock, report, sizeof *report, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -EPIPE;
	return n == sizeof *report ? 0 : -EPIPE;
}

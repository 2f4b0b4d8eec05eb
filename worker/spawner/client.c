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

static int send_with_fd(int sock, const struct slot_request *request, int fd)
{
	union control control = {0};
	struct iovec iov = {(void *)(uintptr_t)request, sizeof *request};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof control};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	*head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
				 .cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int send_large(int sock, const struct slot_request *request, const void *strings)
{
	int fd = memfd_create("arguments", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = 0;
	for (size_t done = 0; rc == 0 && done < request->size;) {
		ssize_t n = write(fd, (const char *)strings + done, request->size - done);
		if (n < 0 && errno != EINTR)
			rc = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	if (rc == 0)
		rc = send_with_fd(sock, request, fd);
	close(fd);
	return rc;
}

int slot_send_run(int sock, uint32_t run, uint64_t memory_max, uint32_t argc,
		  uint32_t envc, const void *strings, size_t size)
{
	if (size > UINT32_MAX)
		return -E2BIG;
	struct slot_request request = {.type = SLOT_RUN,
				       .run = run,
				       .memory_max = memory_max,
				       .argc = argc,
				       .envc = envc,
				       .size = (uint32_t)size};
	if (size > SLOT_INLINE_MAX)
		return send_large(sock, &request, strings);
	struct iovec iov[2] = {{&request, sizeof request},
			       {(void *)(uintptr_t)strings, size}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
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

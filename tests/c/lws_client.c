/*
 * A notification client on libwebsockets, set up as Seafile's desktop client sets it up: its subprotocol, no TLS, a
 * receive buffer of the default size, a ping after one idle second and hanging up after five without a sign of life.
 *
 *   lws_client PORT PATH MESSAGE...
 *
 * Sends each MESSAGE once connected, then runs until it is killed or the connection ends. Prints, a line each:
 *   connected
 *   piece BYTES          what the library handed over at once
 *   message TEXT         a whole message, put together from its pieces
 *   fragmented           a message came in more than one frame
 *   closed, failed TEXT  the end
 */

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL "notification.seafile.com"

static char **to_send;
static int ended;
static char *whole;
static size_t whole_length;

static const lws_retry_bo_t ping_policy = {
    .secs_since_valid_ping = 1,
    .secs_since_valid_hangup = 5,
};

static int send_one(struct lws *wsi)
{
    if (!*to_send)
        return 0;
    size_t length = strlen(*to_send);
    unsigned char *buffer = malloc(LWS_PRE + length);
    memcpy(buffer + LWS_PRE, *to_send++, length);
    int written = lws_write(wsi, buffer + LWS_PRE, length, LWS_WRITE_TEXT);
    free(buffer);
    lws_callback_on_writable(wsi);
    return written < (int)length ? -1 : 0;
}

static void received(struct lws *wsi, const char *piece, size_t length)
{
    printf("piece %zu\n", length);
    whole = realloc(whole, whole_length + length);
    memcpy(whole + whole_length, piece, length);
    whole_length += length;
    if (lws_remaining_packet_payload(wsi))
        return;
    if (!lws_is_final_fragment(wsi)) {
        printf("fragmented\n");
        return;
    }
    /* Foghorn's messages end with a newline. */
    printf("message %.*s", (int)whole_length, whole);
    whole_length = 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: {
        static const char agent[] = "Seafile/9.0.8 (Linux)";
        unsigned char **at = in, *end = *at + length;
        if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_USER_AGENT, (const unsigned char *)agent,
                                         (int)strlen(agent), at, end))
            return -1;
        break;
    }
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        printf("connected\n");
        lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return send_one(wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        received(wsi, in, length);
        break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        printf("failed %s\n", in ? (const char *)in : "");
        ended = 1;
        return -1;
    case LWS_CALLBACK_CLIENT_CLOSED:
        printf("closed\n");
        ended = 1;
        return -1;
    default:
        break;
    }
    return 0;
}

int main(int count, char **words)
{
    static const struct lws_protocols protocols[] = { { PROTOCOL, callback, 0, 0, 0, NULL, 0 },
                                                      { NULL, NULL, 0, 0, 0, NULL, 0 } };
    struct lws_context_creation_info info;
    struct lws_client_connect_info to;

    if (count < 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    lws_set_log_level(LLL_ERR | LLL_WARN, NULL);
    to_send = words + 3;

    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.fd_limit_per_thread = 3;
    struct lws_context *context = lws_create_context(&info);
    if (!context)
        return 1;

    memset(&to, 0, sizeof to);
    to.context = context;
    to.address = to.host = to.origin = "127.0.0.1";
    to.port = atoi(words[1]);
    to.path = words[2];
    to.protocol = to.local_protocol_name = PROTOCOL;
    to.retry_and_idle_policy = &ping_policy;
    lws_client_connect_via_info(&to);

    while (!ended && lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}

/** Conversations: what the server's stream says, in memory. */
import {
  type ChatEvent, type Contact, type Draft, type Message, type Page, Push, SyncLoop, randomId, send,
} from "@datingtoday/client";
import { reactive } from "vue";
import { showToast } from "vant";
import { client, demo, state } from "./session";
import { t } from "./i18n";

export interface Sending extends Draft {
  clientId: string;
  failed: string;
  preview?: string;
}

export const chats = reactive({
  contacts: [] as Contact[],
  messages: {} as Record<number, Message[]>,
  hasMore: {} as Record<number, boolean>,
  sending: {} as Record<number, Sending[]>,
  typingUntil: {} as Record<number, number>,
  unread: 0,
  visitors: { total: 0, unread: 0 },
  isConnected: true,
  openPeer: 0,
});

let loop: SyncLoop | null = null;
let push: Push | null = null;

export async function startChats(): Promise<void> {
  stopChats();
  if (demo.value === null) return;
  const begin = await client.get<{ next: number; epoch: number }>("/api/message/sync", { since: "latest" });
  // The stream starts whatever becomes of the numbers beside it.
  await Promise.all([loadContacts(), loadVisitors().catch(() => undefined)]);
  loop = new SyncLoop(client, {
    position: { pos: begin.next, epoch: begin.epoch }, onEvent, onReset: reset,
  });
  void loop.run();
  push = new Push(client, {
    onHint: () => loop?.poke(),
    onTyping: (peerId) => (chats.typingUntil[peerId] = Date.now() + 4000),
    onVisitor: (count) => (chats.visitors = count),
    onState: (isConnected) => (chats.isConnected = isConnected),
    onKick: (code) => code === 1103 && showToast(t("账号已在其他设备登录")),
  });
}

export function stopChats(): void {
  loop?.stop();
  push?.close();
  loop = push = null;
  Object.assign(chats, { contacts: [], messages: {}, hasMore: {}, sending: {}, typingUntil: {}, unread: 0 });
}

export async function loadContacts(): Promise<void> {
  const page = await client.get<Page<Contact>>("/api/contacts/list", { pageCount: 50 });
  chats.contacts = page.list;
  chats.unread = (await client.get<{ total: number }>("/api/message/unread")).total;
}

export async function loadVisitors(): Promise<void> {
  chats.visitors = await client.get<{ total: number; unread: number }>("/api/visitor/count");
}

async function reset(): Promise<void> {
  chats.messages = {};
  await loadContacts();
  if (chats.openPeer) await openChat(chats.openPeer);
}

export async function openChat(peerId: number): Promise<void> {
  chats.openPeer = peerId;
  const page = await client.get<{ list: Message[]; has_next: boolean }>("/api/message/list", { peerId, pageCount: 30 });
  chats.messages[peerId] = page.list;
  chats.hasMore[peerId] = page.has_next;
  await markRead(peerId);
}

export async function loadOlder(peerId: number): Promise<void> {
  const first = chats.messages[peerId]?.[0];
  if (first === undefined) return;
  const page = await client.get<{ list: Message[]; has_next: boolean }>("/api/message/list", {
    peerId, before: first.seq, pageCount: 30,
  });
  chats.messages[peerId] = [...page.list, ...(chats.messages[peerId] ?? [])];
  chats.hasMore[peerId] = page.has_next;
}

async function markRead(peerId: number): Promise<void> {
  const last = (chats.messages[peerId] ?? []).filter((it) => it.from_uid === peerId).at(-1);
  if (last !== undefined && !last.read) {
    await client.post("/api/message/read", { peerId, seq: last.seq }, true).catch(() => undefined);
  }
}

async function onEvent(event: ChatEvent): Promise<void> {
  if (!state.isLoggedIn) return;
  if (event.kind === "message") {
    place(event.message);
    if (chats.openPeer === event.message.from_uid && !document.hidden) await markRead(event.message.from_uid);
  } else if (event.kind === "read") {
    for (const message of chats.messages[event.peer_id] ?? []) {
      if ((message.from_uid === event.peer_id) === event.by_me && message.seq <= event.seq) message.read = 1;
    }
  } else if (event.kind === "recall") {
    const message = chats.messages[event.peer_id]?.find((it) => it.seq === event.seq);
    if (message) Object.assign(message, { recalled: true, content: null, media: null });
  } else if (event.kind === "contact") {
    delete chats.messages[event.peer_id];
  }
  scheduleContacts();
}

let isScheduled = false;

/** Many events at once ask for the contacts once. */
function scheduleContacts(): void {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(() => {
    isScheduled = false;
    if (state.isLoggedIn) void loadContacts().catch(() => undefined);
  }, 60);
}

function place(message: Message): void {
  const mine = client.login?.userId === message.from_uid;
  const peerId = mine ? message.to_uid : message.from_uid;
  delete chats.typingUntil[peerId];
  if (mine) {
    chats.sending[peerId] = (chats.sending[peerId] ?? []).filter((it) => it.clientId !== message.client_id);
  }
  const list = chats.messages[peerId];
  if (list === undefined) return;
  const known = list.findIndex((it) => it.seq === message.seq);
  if (known >= 0) list[known] = message;
  else list.push(message);
  list.sort((a, b) => a.seq - b.seq);
}

let queue: Promise<unknown> = Promise.resolve();

/** Show a message at once and send it when those before it are sent. */
export function post(draft: Draft, preview?: string): void {
  const sending: Sending = reactive({ ...draft, clientId: randomId(), failed: "", preview });
  (chats.sending[draft.peerId] ??= []).push(sending);
  queue = queue.then(async () => {
    try {
      place(await send(client, draft, sending.clientId));
      scheduleContacts();
    } catch (error) {
      const code = (error as { code?: number }).code;
      sending.failed =
        code === 1401 ? t("对方暂时不接收你的消息")
        : code === 1404 ? t("今天认识的新朋友已达上限")
        : (error as Error).message;
    }
  });
}

let typedAt = 0;

export function typing(peerId: number): void {
  if (Date.now() - typedAt < 2000) return;
  typedAt = Date.now();
  push?.typing(peerId);
}

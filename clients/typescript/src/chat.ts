/** Chat on bad networks: an outbox that repeats, a sync loop that skips nothing, and push as a hint. */
import { io, type Socket } from "socket.io-client";
import { ApiError, type Client, NetworkError, wait } from "./client.js";
import { randomId } from "./signing.js";
import type { Media } from "./types.js";

export type MessageType = "text" | "audio" | "image" | "video";

export interface Message {
  message_id: number;
  client_id: string;
  from_uid: number;
  to_uid: number;
  type: MessageType;
  content: string | null;
  media: Media | null;
  seq: number;
  send_time: string;
  send_ms: number;
  read: number;
  recalled: boolean;
}

export type ChatEvent =
  | { pos: number; kind: "message"; message: Message }
  | { pos: number; kind: "read"; peer_id: number; seq: number; by_me: boolean }
  | { pos: number; kind: "recall"; message_id: number; peer_id: number; seq: number }
  | { pos: number; kind: "contact"; peer_id: number; removed: boolean };

/** Where a client stands in its account's stream; keep it together with the user id. */
export interface Position {
  pos: number;
  epoch: number | null;
}

interface SyncAnswer {
  list: ChatEvent[];
  next: number;
  has_next: boolean;
  epoch: number;
}

export interface SyncOptions {
  position?: Position;
  /** Called for every event, in order; the position moves on after it returns. */
  onEvent: (event: ChatEvent) => void | Promise<void>;
  /** Called before everything is read again from 0: drop what was kept. Called again if it fails for the network. */
  onReset: () => void | Promise<void>;
  onPosition?: (position: Position) => void;
  /** Milliseconds between two looks when push says nothing. */
  idleMs?: number;
}

const UNKNOWN_POSITION = 1406;

/** Reads the account's stream; one loop for each device. */
export class SyncLoop {
  position: Position;
  private stopped = false;
  private poked = false;
  private mustReset = false;
  private wake: (() => void) | null = null;

  constructor(private readonly client: Client, private readonly options: SyncOptions) {
    this.position = options.position ?? { pos: 0, epoch: null };
  }

  /** Look at once: a push came, or the connection is back. */
  poke(): void {
    this.poked = true;
    this.wake?.();
  }

  stop(): void {
    this.stopped = true;
    this.wake?.();
  }

  /** Runs until `stop()` or until the login ends. */
  async run(): Promise<void> {
    let failures = 0;
    while (!this.stopped) {
      this.poked = false;
      try {
        if (this.mustReset) {
          await this.options.onReset();
          this.mustReset = false;
          this.moveTo({ pos: 0, epoch: null });
        }
        while (await this.readPage());
        failures = 0;
      } catch (error) {
        if (error instanceof ApiError && error.code === UNKNOWN_POSITION) {
          // In the next round, where a network that fails again is waited for.
          this.mustReset = true;
          continue;
        }
        if (error instanceof ApiError && [504, 1101, 1102].includes(error.code)) return;
        if (!(error instanceof ApiError || error instanceof NetworkError)) throw error;
        failures = Math.min(failures + 1, 6);
      }
      if (!this.poked && !this.stopped) {
        await this.sleep(failures ? 250 * 2 ** failures : (this.options.idleMs ?? 15_000));
      }
    }
  }

  /** Returns whether more is waiting. */
  private async readPage(): Promise<boolean> {
    const { pos, epoch } = this.position;
    const page = await this.client.get<SyncAnswer>("/api/message/sync", {
      since: pos, epoch: epoch ?? undefined, pageCount: 200,
    });
    for (const event of page.list) {
      if (this.stopped) return false;
      await this.options.onEvent(event);
      this.moveTo({ pos: event.pos, epoch: page.epoch });
    }
    if (epoch === null) this.moveTo({ pos: page.next, epoch: page.epoch });
    return page.has_next;
  }

  private moveTo(position: Position): void {
    this.position = position;
    this.options.onPosition?.(position);
  }

  private async sleep(ms: number): Promise<void> {
    await Promise.race([wait(ms), new Promise<void>((resolve) => (this.wake = resolve))]);
    this.wake = null;
  }
}

export interface Draft {
  peerId: number;
  type: MessageType;
  content?: string;
  mediaId?: string;
}

/** Sends a message until an answer comes; the `clientId` makes every repetition harmless. */
export async function send(client: Client, draft: Draft, clientId = randomId()): Promise<Message> {
  for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 15_000)) {
    try {
      return await client.post<Message>("/api/message/send", { ...draft, clientId }, true);
    } catch (error) {
      const isPassing = error instanceof NetworkError || (error instanceof ApiError && error.status >= 429);
      if (!isPassing) throw error;
      await wait(pauseMs * (0.5 + Math.random()));
    }
  }
}

export interface PushHandlers {
  /** Something happened in the account's stream: call `SyncLoop.poke()`. */
  onHint: () => void;
  onTyping?: (peerId: number) => void;
  onVisitor?: (count: { total: number; unread: number }) => void;
  onKick?: (code: number) => void;
  onState?: (isConnected: boolean) => void;
}

/** A push connection; `auth` is signed anew for every attempt. */
export class Push {
  private readonly socket: Socket;
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, handlers: PushHandlers) {
    this.socket = io(client.options.baseUrl || undefined, {
      path: "/socket.io",
      transports: ["websocket"],
      auth: (give) => give(client.signed("GET", "/socket.io", {})),
    });
    this.socket.on("connect", () => {
      handlers.onState?.(true);
      handlers.onHint();
    });
    this.socket.on("disconnect", () => handlers.onState?.(false));
    this.socket.on("connect_error", (error: Error & { data?: { code?: number; data?: { server_time?: number } } }) => {
      if (error.data?.code === 1001 && error.data.data?.server_time) client.setClock(error.data.data.server_time);
      if ([504, 1101, 1102].includes(error.data?.code ?? 0)) return;
      // A refusal ends Socket.IO's own attempts; after a lost connection they go on by themselves.
      if (!this.socket.active) this.again = setTimeout(() => this.socket.connect(), 2000 * (0.5 + Math.random()));
    });
    for (const name of ["message", "read", "recall", "contact", "resync"]) {
      this.socket.on(name, () => handlers.onHint());
    }
    this.socket.on("typing", (data: { peer_id: number }) => handlers.onTyping?.(data.peer_id));
    this.socket.on("visitor", (data: { total: number; unread: number }) => handlers.onVisitor?.(data));
    this.socket.on("kick", (data: { code: number }) => {
      this.close();
      handlers.onKick?.(data.code);
    });
  }

  typing(peerId: number): void {
    if (this.socket.connected) this.socket.emit("typing", { peerId });
  }

  close(): void {
    clearTimeout(this.again);
    this.socket.disconnect();
  }
}

/** Names for the shapes that answers are made of; the whole contract is in `api.ts`, made from `/openapi.json`. */

export interface Card {
  user_id: number;
  nickname: string;
  age: number | null;
  gender: number;
  avatar: string | null;
  height: number | null;
  sexual: number;
  education: number;
  salary: number | null;
  emotion: number | null;
  vip: boolean;
  labels: string[];
}

export interface Photo {
  photo_id: number;
  url: string;
  thumb_url: string;
}

export interface Label {
  label_id: number;
  name: string;
  gender?: number;
  meaning?: string;
}

export interface Profile extends Omit<Card, "labels"> {
  intro: string;
  labels: Label[];
  album: Photo[];
  following: boolean;
  followed_by: boolean;
  last_active: string | null;
  phone?: string;
  email?: string | null;
  birthday?: string | null;
  authority?: number;
  stealth?: boolean;
  personal?: boolean;
  create_time?: string;
  vip_deadline?: string | null;
}

export interface Media {
  media_id: string;
  kind: string;
  mime: string;
  bytes: number;
  url: string;
  thumb_url?: string;
  width?: number;
  height?: number;
  duration_ms?: number;
}

export interface Page<T> {
  total: number;
  total_more?: boolean;
  list: T[];
  has_next: boolean;
  next: string | null;
}

export interface Contact {
  peer: Card;
  last_msg: string;
  last_type: string;
  unread: number;
  update_time: string;
  update_ms: number;
}

export interface Visitor {
  peer: Card;
  visit_time: string;
  visits: number;
  status: number;
}

export interface Product {
  product_id: number;
  name: string;
  desc: string;
  vip_days: number;
  price_fen: number;
}

export interface Order {
  order_id: number;
  trade_no: string;
  product_id: number;
  product_name: string;
  vip_days: number;
  fee_fen: number;
  channel: string;
  state: "unpaid" | "paid" | "cancelled" | "expired" | "refunded";
  order_time: string;
  paid_time: string | null;
  expire_time: string;
  pay_params?: { pay_url?: string } | null;
}

export interface Session {
  id: number;
  device: string | null;
  login_time: string;
  last_seen: string;
  current: boolean;
}

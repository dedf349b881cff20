import { createRouter, createWebHashHistory } from "vue-router";
import { state } from "./session";
import Chat from "./views/Chat.vue";
import Contacts from "./views/Contacts.vue";
import Edit from "./views/Edit.vue";
import Hot from "./views/Hot.vue";
import Login from "./views/Login.vue";
import Me from "./views/Me.vue";
import Nearby from "./views/Nearby.vue";
import People from "./views/People.vue";
import Person from "./views/Person.vue";
import Search from "./views/Search.vue";
import Settings from "./views/Settings.vue";
import Vip from "./views/Vip.vue";
import Visitors from "./views/Visitors.vue";

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: "/", redirect: "/hot" },
    { path: "/login", component: Login, meta: { public: true } },
    { path: "/hot", component: Hot, meta: { tab: true } },
    { path: "/nearby", component: Nearby, meta: { tab: true } },
    { path: "/contacts", component: Contacts, meta: { tab: true } },
    { path: "/me", component: Me, meta: { tab: true } },
    { path: "/search", component: Search },
    { path: "/person/:id", component: Person, props: (to) => ({ id: Number(to.params.id) }) },
    { path: "/chat/:id", component: Chat, props: (to) => ({ id: Number(to.params.id) }) },
    { path: "/people/:kind", component: People, props: true },
    { path: "/visitors", component: Visitors },
    { path: "/vip", component: Vip },
    { path: "/edit", component: Edit },
    { path: "/settings", component: Settings },
  ],
});

router.beforeEach((to) => {
  if (!to.meta.public && !state.isLoggedIn) return "/login";
  if (to.path === "/login" && state.isLoggedIn) return "/hot";
  return true;
});

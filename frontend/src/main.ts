import "vant/lib/index.css";
import "./style.css";
import { createApp } from "vue";
import {
  ActionSheet, Badge, Button, Cell, CellGroup, Dialog, DropdownItem, DropdownMenu, Empty, Field, Form, Icon, List,
  NavBar, Picker, Popup, PullRefresh, Search, Skeleton, Swipe, SwipeItem, Switch, Tabbar, TabbarItem, Tag, Uploader,
} from "vant";
import App from "./App.vue";
import { router } from "./router";

const app = createApp(App).use(router);
for (const part of [
  ActionSheet, Badge, Button, Cell, CellGroup, Dialog, DropdownItem, DropdownMenu, Empty, Field, Form, Icon, List,
  NavBar, Picker, Popup, PullRefresh, Search, Skeleton, Swipe, SwipeItem, Switch, Tabbar, TabbarItem, Tag, Uploader,
]) app.use(part);
app.mount("#app");

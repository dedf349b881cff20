import "./split.css";
